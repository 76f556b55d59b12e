"""The attacks of the self-test: code that runs in the sandbox as any tool would, and says what it could do.

Each source is a tool of its own, with a function `attack`.
"""

# Attacks that open nothing by themselves, but leave more of the kernel within reach than a tool needs.
LESSER = "privileges:"

# Returns the names of the attacks that won, of those that try to get at something.
REACH = """
import ctypes, glob, os, signal, socket

LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {"x86_64": {"ptrace": 101, "unshare": 272, "mount": 165, "keyctl": 250}, "aarch64":
    {"ptrace": 117, "unshare": 97, "mount": 40, "keyctl": 219}}

def attack(canary, secret, port, datagrams, abstract, path_socket, parent):
    won = []

    def attempt(name, work):
        try:
            if work():
                won.append(name)
        except Exception:
            pass

    def reading(path):
        with open(path, "rb") as file:
            return file.read(1 << 20)

    def connected(family, address):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            probe.connect(address)
            return True

    def sent(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"o", address)
            return False  # what counts is whether it arrives

    def environments():
        return any(secret.encode() in reading(each) for each in readable(glob.glob("/proc/[0-9]*/environ")))

    def readable(paths):
        for path in paths:
            try:
                reading(path)
            except OSError:
                continue
            yield path

    def writes(folder):
        path = os.path.join(folder, "o-sandbox-attack")
        with open(path, "w"):
            pass
        os.unlink(path)
        return True

    def signalled():
        os.kill(parent, 0)
        return b"o.sandbox.executor" in reading("/proc/%d/cmdline" % parent) if os.path.exists("/proc/self") else True

    def became_root():
        os.setuid(0)
        return system_call("mount", 0, 0, 0, 0, 0)

    def system_call(name, *arguments):
        number = CALLS[os.uname().machine][name]
        return LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) >= 0

    attempt("files: a file of the server", lambda: secret.encode() in reading(canary))
    attempt("files: /etc/shadow", lambda: reading("/etc/shadow"))
    attempt("files: the server's files through /proc", lambda: secret.encode() in reading("/proc/1/root" + canary))
    for folder in ("/usr", "/var/tmp", os.path.dirname(canary), "/dev", "/"):
        attempt("files: writing to " + folder, lambda: writes(folder))
    attempt("secrets: the environment of other processes", environments)
    attempt("network: TCP", lambda: connected(socket.AF_INET, ("127.0.0.1", port)))
    attempt("network: UDP", lambda: sent(("127.0.0.1", datagrams)))
    attempt("network: an abstract unix socket", lambda: connected(socket.AF_UNIX, abstract))
    attempt("network: a unix socket of the server", lambda: connected(socket.AF_UNIX, path_socket))
    attempt("network: a raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    attempt("privileges: a netlink socket", lambda: socket.socket(16, socket.SOCK_RAW, 0))
    attempt("processes: a signal to the server", signalled)
    attempt("processes: ptrace", lambda: system_call("ptrace", 0x4206, parent, 0, 0))  # seize, which stops nothing
    attempt("processes: becoming root", became_root)
    attempt("privileges: new namespaces", lambda: system_call("unshare", 0x10000000))
    attempt("privileges: kernel keys", lambda: system_call("keyctl", 0, -3, 0))
    return won
"""

# Returns how many processes it could have at one time.
FORKS = """
import os, time

def attack():
    count = 0
    try:
        for _ in range(400):
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return count
"""

# Takes memory until something stops it.
MEMORY = """
def attack():
    held = []
    while True:
        held.append(bytearray(8 << 20))
"""
