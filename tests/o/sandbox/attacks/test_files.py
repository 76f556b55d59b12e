"""Files that are not the call's own: the server's, the machine's, another call's, and ways around their paths."""

import os
from contextlib import suppress
from pathlib import Path

from o.sandbox.base import Limits
from tests.support.attacks import ENVIRONMENT, LIMITS, PYTHON, Arena

READ = """
import glob

def attack(files, pid):
    for path in files:
        attempt(path, lambda: read(path))
        attempt("/proc/1/root" + path, lambda: read("/proc/1/root" + path))
        attempt("/proc/%d/root" % pid + path, lambda: read("/proc/%d/root" % pid + path))
    for path in ("/etc/shadow", "/etc/passwd", "/etc/hostname", "/root/.ssh", "/root/.bash_history", "/var/run/docker.sock",
                 "/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/sys/kernel/security", "/var/lib", "/home"):
        attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else read(path, 16))
    others = {os.getppid(), pid, 1, *(int(name) for name in proc() if name.isdigit())} - {os.getpid()}
    for other in sorted(others):
        for name in ("environ", "mem", "maps", "auxv"):
            attempt("/proc/%d/%s" % (other, name), lambda: read("/proc/%d/%s" % (other, name)))
        for name in ("fd", "map_files", "task"):
            attempt("/proc/%d/%s" % (other, name), lambda: name != "task" and os.listdir("/proc/%d/%s" % (other, name)))
        attempt("/proc/%d/cwd" % other, lambda: os.path.islink("/proc/%d/cwd" % other) and os.readlink("/proc/%d/cwd" % other))
        attempt("/proc/%d/mem, writing" % other, lambda: open("/proc/%d/mem" % other, "r+b"))
    return verdict()

def proc():
    try:
        return os.listdir("/proc")
    except OSError:
        return []
"""


async def test_what_is_not_the_calls_own_is_not_read(arena: Arena) -> None:
    files = [path for path in arena.files if Path(path).is_file()]
    assert len(files) == 4
    await arena.assault(READ, files=files, pid=arena.running.process.pid)


async def test_its_environment_has_only_its_own_variables(arena: Arena) -> None:
    source = """
def attack():
    raw = set()
    try:
        raw = {each.split("=")[0] for each in read("/proc/self/environ").decode().split("\\0") if each}
    except OSError:
        pass
    LIBC.getenv.restype = ctypes.c_char_p
    return {"known": dict(os.environ), "raw": sorted(raw), "native": bool(LIBC.getenv(b"O_DATABASE_URL"))}
"""
    result = await arena.run(source)
    await arena.unharmed(result)
    assert result.outcome == "returned", result.error
    standard = {"PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE"}
    assert set(result.value["known"]) == standard | set(ENVIRONMENT)
    assert set(result.value["raw"]) <= {"PWD", "LC_CTYPE", *standard}
    assert result.value["native"] is False


VICTIM = """
import os, sys
with open("mine", "w") as file:
    file.write(sys.argv[1])
os.chmod("mine", 0o666)
os.chmod(".", 0o777) if os.getcwd() != "/tmp" else None
print(os.getcwd(), flush=True)
sys.stdin.read()
"""

OTHERS = """
def attack(folder, pids):
    import glob
    attempt("its file", lambda: os.path.exists("mine") or (folder != os.getcwd() and read(folder + "/mine")))
    attempt("its folder", lambda: folder != os.getcwd() and os.listdir(folder))
    attempt("the folders of all", lambda: folder != os.getcwd() and os.listdir(os.path.dirname(folder)))
    for pid in pids:
        attempt("its root", lambda: read("/proc/%d/root%s/mine" % (pid, folder)))
        attempt("its cwd", lambda: read("/proc/%d/cwd/mine" % pid))
        attempt("its environment", lambda: read("/proc/%d/environ" % pid))
        attempt("its memory", lambda: open("/proc/%d/mem" % pid, "r+b"))
        attempt("its arguments", lambda: read("/proc/%d/cmdline" % pid).count(b"canary"))
        attempt("a signal", lambda: pid not in (1, 2, 3) and os.kill(pid, 9) is None)
    attempt("by search", lambda: glob.glob("/tmp/**/mine", recursive=True))
    return verdict()
"""


async def test_another_call_at_the_same_time_is_out_of_reach(arena: Arena) -> None:
    victim = await arena.sandbox.start(
        (PYTHON, "-I", "-S", "-c", VICTIM, arena.secret), {"VICTIM": arena.secret}, egress=None, limits=LIMITS
    )
    try:
        where = (await victim.read()).decode().strip()
        assert where.startswith("/")
        pids = [pid for pid in sorted(arena.processes()) if arena.secret.encode() in command_line(pid)]
        assert pids
        result = await arena.run(OTHERS, folder=where, pids=pids)
        assert result.outcome == "returned", result.error
        assert result.value["won"] == []
        assert arena.secret not in result.model_dump_json()
        assert set(pids) <= arena.processes()
    finally:
        await victim.close()
    await arena.unharmed(result)


AROUND = """
def attack(target, folder):
    flags = os.O_RDONLY
    def linked(make, name):
        make(target, name)
        return read(name)
    attempt("a symbolic link", lambda: linked(os.symlink, "soft"))
    attempt("a hard link", lambda: linked(os.link, "hard"))
    os.symlink(folder, "folder")
    attempt("a linked folder", lambda: os.listdir("folder"))
    attempt("a file of a linked folder", lambda: read("folder/.env"))
    attempt("..", lambda: read("../" * 20 + target.lstrip("/")))
    attempt("/proc/self/root", lambda: read("/proc/self/root" + target))
    attempt("/proc/self/cwd", lambda: read("/proc/self/cwd/" + "../" * 20 + target.lstrip("/")))
    attempt("/proc/thread-self/root", lambda: read("/proc/thread-self/root" + target))
    attempt("/dev/fd", lambda: read("/dev/fd/0/.." + target))

    def path_only():
        descriptor = os.open(target, os.O_PATH)
        return read("/proc/self/fd/%d" % descriptor)

    def beneath():
        descriptor = os.open(".", os.O_PATH | os.O_DIRECTORY)
        return os.read(os.open("../" * 20 + target.lstrip("/"), flags, dir_fd=descriptor), 64)

    def upwards():
        descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY)
        return os.read(os.open(target.lstrip("/"), flags, dir_fd=descriptor), 64)

    def by_standard(number):
        return os.read(os.open("../" * 20 + target.lstrip("/"), flags, dir_fd=number), 64)

    attempt("O_PATH", path_only)
    attempt("openat", beneath)
    attempt("openat from /", upwards)
    for number in range(4):
        attempt("openat from %d" % number, lambda: by_standard(number))
    attempt("renaming it", lambda: os.rename(target, "taken") is None)
    attempt("renaming over it", lambda: (open("own", "w").close(), os.rename("own", target)))
    attempt("truncating it", lambda: os.truncate(folder + "/o.toml", 0) is None)
    attempt("writing it", lambda: open(folder + "/o.toml", "a").write("x"))
    attempt("removing it", lambda: os.unlink(target) is None)
    attempt("a new file beside it", lambda: open(folder + "/new", "w"))
    attempt("a device", lambda: os.mknod("disk", 0o60666, os.makedev(8, 0)) or read("disk"))
    attempt("an execution", lambda: os.spawnv(os.P_WAIT, target, [target]) == 0)
    return verdict()
"""


async def test_links_descriptors_and_paths_lead_nowhere(arena: Arena) -> None:
    await arena.assault(AROUND, target=str(arena.folder / ".env"), folder=str(arena.folder))


ATTRIBUTES = """
def attack(path):
    before = os.stat(path) if os.path.exists(path) else None
    def changed(work):
        work()
        after = os.stat(path)
        return (after.st_mode, after.st_mtime, after.st_uid, after.st_gid) != (before.st_mode, before.st_mtime, before.st_uid, before.st_gid)
    def by_descriptor():
        descriptor = os.open(path, os.O_RDONLY)
        os.fchmod(descriptor, 0o777)
    attempt("chmod", lambda: changed(lambda: os.chmod(path, 0o700)))
    attempt("fchmod", lambda: changed(by_descriptor))
    attempt("chown", lambda: changed(lambda: os.chown(path, -1, max(os.getgroups() or [0]))))
    attempt("utime", lambda: changed(lambda: os.utime(path, (1, 1))))
    attempt("xattr", lambda: os.setxattr(path, "user.o", b"x") is None)
    attempt("inotify", lambda: LIBC.inotify_add_watch(LIBC.inotify_init1(0), os.path.dirname(path).encode(), 0xFFF) > 0)
    return verdict()
"""


async def test_attributes_of_files_that_are_not_its_own_stay(arena: Arena) -> None:
    for path in (arena.folder / "o.toml", arena.libraries / "shared" / "shared_tool.py"):
        about = path.stat()
        await arena.assault(ATTRIBUTES, path=str(path))
        after = path.stat()
        assert (after.st_mtime, after.st_mode, after.st_gid) == (about.st_mtime, about.st_mode, about.st_gid)
        assert os.listxattr(path) == []


async def test_a_folder_that_resists_is_removed(arena: Arena) -> None:
    """Folders without rights, deeper than a path may be long and than Python may recurse, and links to the server's."""
    source = """
def attack(folder):
    os.symlink(folder, "server")
    os.mkdir("closed")
    open("closed/file", "w").close()
    os.mkdir("closed/inner")
    os.chmod("closed/inner", 0)
    os.chmod("closed", 0)
    for _ in range(depth):
        os.mkdir("d" * 50)
        os.chdir("d" * 50)
    return verdict()
depth = 700
"""
    deep = await arena.run(source, folder=str(arena.folder))
    deeper = await arena.run(source.replace("700", "1500"), folder=str(arena.folder), limits=Limits(wall=20))
    for result in (deep, deeper):
        assert result.outcome == "returned" or "files" in (result.error or ""), result
    await arena.unharmed(deep, deeper)


PLANT = """
import glob, site, sysconfig, zipfile

CODE = "import builtins; builtins.poisoned = True; print('poisoned')\\n"

def attack(root):
    version = "%d.%d" % sys.version_info[:2]
    user = os.path.expanduser("~/.local/lib/python%s/site-packages" % version)
    places = {os.getcwd(), user, "/", "/tmp", "/usr/lib/python3", "/usr/local/lib", "/etc", "/run", "/var/tmp", "/dev/shm",
              root + "/o/sandbox/inside", *sys.path, *sysconfig.get_paths().values(), os.path.dirname(os.__file__)}
    written = []
    for place in sorted(places):
        for name in ("sitecustomize.py", "usercustomize.py", "poison.pth", "json.py", "ld.so.preload", "pyvenv.cfg",
                     "__pycache__/json.cpython-%d%d.pyc" % sys.version_info[:2], "python%d%d._pth" % sys.version_info[:2]):
            path = os.path.join(place, name)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write(CODE)
                written.append(path)
            except OSError:
                continue
    os.environ.update(PYTHONPATH=os.getcwd(), LD_PRELOAD=os.getcwd() + "/x.so", PYTHONSTARTUP=os.getcwd() + "/json.py")
    import json, builtins
    json.dumps = lambda *a, **k: '"poisoned"'
    builtins.poisoned = True
    return [path for path in written if not path.startswith(home + "/")]
home = os.path.realpath(os.environ["HOME"])
"""

UNAFFECTED = """
import builtins, json

def attack():
    return [hasattr(builtins, "poisoned"), json.dumps(1), os.listdir("."), sorted(set(os.environ) & {"PYTHONPATH", "LD_PRELOAD"}),
            [name for name in sys.modules if "customize" in name]]
"""


async def test_nothing_planted_reaches_the_next_call(arena: Arena) -> None:
    root = str(Path(__file__).parents[4])
    planted = await arena.run(PLANT, root=root)
    assert planted.outcome in ("returned", "bad_result"), (planted.error, planted.stderr)
    if arena.combination.namespaces and planted.outcome == "returned":
        # /dev/shm is its folder by another name.
        assert [path for path in planted.value if not path.startswith("/dev/shm")] == []
    for _ in range(3):
        result = await arena.run(UNAFFECTED)
        # Where this project lies below the folder for temporary files, the way to it is there.
        way = [Path(root).parts[2]] if Path(root).parts[1] == "tmp" and arena.combination.namespaces else []
        assert result.value == [False, "1", way, [], []], result
        assert "poisoned" not in result.stdout
    await arena.unharmed(planted)


async def test_shared_libraries_are_read_only(arena: Arena) -> None:
    source = """
import shared_tool

def attack():
    path = shared_tool.__file__
    folder = os.path.dirname(path)
    attempt("its file", lambda: open(path, "a").write("VALUE = 'poisoned'"))
    attempt("a file beside it", lambda: open(folder + "/sitecustomize.py", "w"))
    attempt("its cache", lambda: os.makedirs(folder + "/__pycache__") is None)
    attempt("another name", lambda: os.link(path, folder + "/other.py") is None)
    attempt("removal", lambda: os.unlink(path) is None)
    attempt("the folder of all", lambda: open(os.path.dirname(folder) + "/x", "w"))
    attempt("other folders", lambda: [name for name in os.listdir(os.path.dirname(folder)) if name != "shared"])
    return verdict() | {"value": shared_tool.VALUE}
"""
    before = contents_of(arena.libraries)
    await arena.assault(source, libraries="shared")
    assert contents_of(arena.libraries) == before
    again = await arena.run("import shared_tool\ndef attack(): return shared_tool.VALUE", libraries="shared")
    assert again.value == "genuine"


def command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
