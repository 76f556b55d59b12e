"""What a process could become, and which doors of the kernel it could knock at: none opens."""

import platform

import pytest

from tests.support.attacks import Arena

# System call numbers of x86-64 and AArch64, and arguments with which the kernel would do or at least judge it.
DOORS: dict[str, tuple[int | None, int | None, list[int]]] = {
    "ptrace": (101, 117, [16, 1, 0, 0]),
    "process_vm_readv": (310, 270, [1, 0, 0, 0, 0, 0]),
    "process_vm_writev": (311, 271, [1, 0, 0, 0, 0, 0]),
    "kcmp": (312, 272, [1, 1, 0, 0, 0]),
    "pidfd_getfd": (438, 438, [0, 0, 0]),
    "keyctl": (250, 219, [0, -3, 1]),
    "add_key": (248, 217, [0, 0, 0, 0, -3]),
    "request_key": (249, 218, [0, 0, 0, -3]),
    "bpf": (321, 280, [0, 0, 0]),
    "perf_event_open": (298, 241, [0, 0, -1, -1, 0]),
    "userfaultfd": (323, 282, [0]),
    "userfaultfd of its own": (323, 282, [1]),
    "io_uring_setup": (425, 425, [8, 0]),
    "io_setup": (206, 0, [8, 0]),
    "memfd_create": (319, 279, [0, 0]),
    "memfd_secret": (447, 447, [0]),
    "mount": (165, 40, [0, 0, 0, 0, 0]),
    "umount2": (166, 39, [0, 2]),
    "open_tree": (428, 428, [-100, 0, 1]),
    "move_mount": (429, 429, [-100, 0, -100, 0, 0]),
    "fsopen": (430, 430, [0, 0]),
    "fsmount": (432, 432, [0, 0, 0]),
    "mount_setattr": (442, 442, [-100, 0, 0, 0, 0]),
    "pivot_root": (155, 41, [0, 0]),
    "chroot": (161, 51, [0]),
    "setns": (308, 268, [0, 0]),
    "name_to_handle_at": (303, 264, [-100, 0, 0, 0, 0]),
    "open_by_handle_at": (304, 265, [-100, 0, 0]),
    "fanotify_init": (300, 262, [0, 0]),
    "kexec_load": (246, 104, [0, 0, 0, 0]),
    "kexec_file_load": (320, 294, [0, 0, 0, 0, 0]),
    "init_module": (175, 105, [0, 0, 0]),
    "finit_module": (313, 273, [0, 0, 0]),
    "delete_module": (176, 106, [0, 0]),
    "swapon": (167, 224, [0, 0]),
    "reboot": (169, 142, [0, 0, 0, 0]),
    "sethostname": (170, 161, [0, 0]),
    "setdomainname": (171, 162, [0, 0]),
    "settimeofday": (164, 170, [0, 0]),
    "clock_settime": (227, 112, [0, 0]),
    "adjtimex": (159, 171, [0]),
    "acct": (163, 89, [0]),
    "quotactl": (179, 60, [0, 0, 0, 0]),
    "syslog": (103, 116, [10, 0, 0]),
    "vhangup": (153, 58, []),
    "personality": (135, 92, [0x0040000]),
    "iopl": (172, None, [3]),
    "ioperm": (173, None, [0, 1, 1]),
    "modify_ldt": (154, None, [0, 0, 0]),
    "shmget": (29, 194, [0, 4096, 0o1600]),
    "semget": (64, 190, [0, 1, 0o1600]),
    "msgget": (68, 186, [0, 0o1600]),
    "mq_open": (240, 180, [0, 0o102, 0o600, 0]),
    **{
        f"unshare {flag:#x}": (272, 97, [flag])
        for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000, 0x2000000, 0x80)
    },
    **{
        f"clone {flag:#x}": (56, 220, [flag | 17, 0, 0, 0, 0])
        for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000, 0x2000000)
    },
    "clone3": (435, 435, [0, 0]),
}

KNOCK = """
def attack(doors):
    for name, (number, arguments) in doors.items():
        attempt(name, lambda: syscall(number, *arguments) or True)
    return verdict()
"""
# With these the kernel was never asked; any other error would mean that it judged the arguments.
CLOSED = {"EPERM", "ENOSYS", "EACCES"}


async def test_the_kernels_doors_are_shut(arena: Arena) -> None:
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    doors = {name: (numbers[column], numbers[2]) for name, numbers in DOORS.items() if isinstance(numbers[column], int)}
    refused = await arena.assault(KNOCK, doors=doors)
    assert {name: error for name, error in refused.items() if error not in CLOSED} == {}
    assert set(refused) == set(doors)


BECOME = """
import shutil, struct, subprocess

def attack():
    before, groups = os.getresuid(), os.getresgid()
    for command in (["su", "-c", "id"], ["sudo", "-n", "id"], ["mount", "-t", "tmpfs", "none", "/tmp"], ["umount", "-l", "/tmp"],
                    ["unshare", "-r", "id"], ["unshare", "-m", "true"], ["nsenter", "-t", "1", "-m", "id"], ["chroot", "/", "id"],
                    ["newgrp"], ["bwrap", "--ro-bind", "/", "/", "true"], ["setpriv", "--reuid", "0", "id"], ["pkexec", "id"],
                    ["passwd", "-d", "root"], ["chsh", "-s", "/bin/sh"], ["hostname", "attacked"], ["date", "-s", "2001-01-01"]):
        if shutil.which(command[0]):
            attempt(" ".join(command), lambda: subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0)

    def effective():
        with open("/proc/self/status") as status:
            found = dict(line.split(":", 1) for line in status)
        return [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(found[name], 16)] or found["NoNewPrivs"].strip() != "1"

    def by_file(name, make):
        open(name, "w").close()
        make(name)
        return True

    capability = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)
    attempt("capabilities", effective)
    attempt("no_new_privs", lambda: LIBC.prctl(38, 0, 0, 0, 0) == 0 or LIBC.prctl(39, 0, 0, 0, 0) != 1)
    attempt("an ambient capability", lambda: LIBC.prctl(47, 2, 21, 0, 0) == 0)
    attempt("capabilities of a file", lambda: by_file("f", lambda name: os.setxattr(name, "security.capability", capability)))
    attempt("the owner of a file", lambda: by_file("g", lambda name: os.chown(name, 0, 0)))
    for user in (0, 1, 1000, 65534, 1_899_000_000):
        attempt("user %d" % user, lambda: os.setuid(user) or os.getresuid() != before)
        attempt("group %d" % user, lambda: os.setresgid(user, user, user) or os.getresgid() != groups)
    attempt("other groups", lambda: os.setgroups([0]) is None)
    attempt("a user namespace's map", lambda: put("/proc/self/uid_map", b"0 0 1"))
    attempt("the out-of-memory score", lambda: put("/proc/self/oom_score_adj", b"-1000"))
    attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) is None)
    attempt("niceness", lambda: os.nice(-5) < 0)
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/power/state", "/proc/sys/vm/drop_caches",
                 "/sys/fs/cgroup/cgroup.procs", "/proc/1/oom_score_adj"):
        attempt(path, lambda: put(path, b"b"))
    return verdict()
"""


async def test_nothing_makes_it_more_than_it_is(arena: Arena) -> None:
    refused = await arena.assault(BECOME)
    assert refused["no_new_privs"] == "nothing"


RAISE = """
import resource

def attack():
    for name in ("AS", "CPU", "FSIZE", "NPROC", "NOFILE", "STACK", "CORE"):
        which = getattr(resource, "RLIMIT_" + name)
        soft, hard = resource.getrlimit(which)
        attempt(name, lambda: hard == resource.RLIM_INFINITY)
        def higher():
            try:
                resource.setrlimit(which, (hard, hard + 1))
            except ValueError:
                raise OSError(1, "refused") from None
            return True
        attempt(name + ", raised", higher)
    return verdict()
"""


async def test_limits_are_not_raised(arena: Arena) -> None:
    await arena.assault(RAISE)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="this is about x86-64's other ways to call the kernel")
async def test_other_numberings_of_system_calls_lead_nowhere(arena: Arena) -> None:
    """x32 numbers are refused; the calls of 32-bit programs end the process."""
    source = """
def attack():
    for number in (39, 57, 41, 165, 272, 101, 520, 521, 539):
        attempt("x32 %d" % number, lambda: syscall(0x40000000 | number, 2, 1, 0))
    return verdict()
"""
    await arena.assault(source)
    # mov eax, N; mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
    source = """
import mmap
def attack(number):
    code = bytes([0xB8]) + number.to_bytes(4, "little") + bytes.fromhex("bb02000000b90100000031d2cd80c3")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_long)(start)()
"""
    for number in (359, 20):  # socket, getpid
        result = await arena.run(source, number=number)
        assert result.outcome == "crashed", result
        assert "SIGSYS" in (result.error or "") or "SIGSEGV" in (result.error or "")
    await arena.unharmed()
