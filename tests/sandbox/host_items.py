"""Attempts to read or change the machine, to get rights, and to reach others. HOST is what is known of the machine."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

from tests.sandbox.items import Item, attempt, item

READING = [
    attempt("read a file of the host by its path", "escaped(open(HOST['file']).read())"),
    attempt("read it through PID 1's root", "escaped(open('/proc/1/root' + HOST['file']).read())"),
    attempt("climb out with dots", "escaped(open('/mnt/data/' + '../' * 40 + HOST['file'].lstrip('/')).read())"),
    attempt(
        "read it through a link", "os.symlink(HOST['file'], '/mnt/data/link1'); escaped(open('/mnt/data/link1').read())"
    ),
    attempt(
        "make a hard link to it", "os.link(HOST['file'], '/mnt/data/hard1'); escaped(open('/mnt/data/hard1').read())"
    ),
    attempt(
        "find it with a walk over everything",
        """
        import itertools
        for folder, folders, files in itertools.islice(os.walk('/'), 30000):
            folders[:] = [name for name in folders if name not in ('proc', 'sys')]
            if HOST['name'] in files: escaped(folder)
    """,
    ),
    attempt("the host's environment in ours", "escaped(os.environ['AGENTRT_CANARY'])"),
    attempt(
        "the host's environment in any process",
        """
        import glob
        for name in glob.glob('/proc/[0-9]*/environ'):
            try:
                text = open(name, 'rb').read()
            except OSError:
                continue
            if HOST['terces'][::-1].encode() in text: escaped(name)
    """,
    ),
    attempt(
        "processes of the host",
        """
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                line = open(f'/proc/{pid}/cmdline', 'rb').read()
            except OSError:
                continue
            if b'pytest' in line or b'dockerd' in line or b'bwrap' in line: escaped(line)
    """,
    ),
    attempt("the passwords", "text = open('/etc/shadow').read(); escaped(text)"),
    attempt(
        "users of the host",
        """
        import pwd
        names = [user.pw_name for user in pwd.getpwall()]
        if HOST['user'] not in ('root', 'nobody', 'sandbox') and HOST['user'] in names: escaped(names)
    """,
    ),
    attempt(
        "folders of the host",
        """
        for folder in ('/home', '/root', '/srv', '/var/lib', '/opt', '/boot'):
            if os.path.isdir(folder) and (names := [name for name in os.listdir(folder) if not name.startswith('.')]):
                if set(names) & set(HOST['names']): escaped((folder, names))
    """,
    ),
    attempt(
        "sockets of services",
        """
        for path in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket'):
            if path and os.path.exists(path): escaped(path)
    """,
    ),
    attempt(
        "any socket at all",
        """
        import stat
        for folder in ('/run', '/var/run', '/tmp', '/var/tmp'):
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode): escaped(name)
    """,
    ),
    attempt("a service account's token", "escaped(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"),
    attempt("memory of PID 1", "open('/proc/1/mem', 'rb'); escaped('opened')"),
    attempt("open files of PID 1", "escaped(os.listdir('/proc/1/fd'))"),
    attempt(
        "PID 1's environment",
        "text = open('/proc/1/environ').read(); escaped('read') if HOST['terces'][::-1] in text else None",
    ),
    attempt("the maps of PID 1", "text = open('/proc/1/maps').read(); escaped(text[:50]) if text else None"),
    attempt(
        "the host's disks",
        "for name in ('sda', 'vda', 'nvme0n1', 'dm-0'):\n    open('/dev/' + name, 'rb') if os.path.exists('/dev/' + name) else None\n    if os.path.exists('/dev/' + name): escaped(name)",
    ),
    attempt(
        "make a disk's node",
        "os.mknod('/mnt/data/disk', 0o60666, os.makedev(254, 0)); open('/mnt/data/disk', 'rb').read(1); escaped('read')",
    ),
    attempt(
        "make a memory device's node",
        "os.mknod('/tmp/mem', 0o20666, os.makedev(1, 1)); open('/tmp/mem', 'rb').read(1); escaped('read')",
    ),
    attempt("physical memory", "open('/dev/mem', 'rb').read(1); escaped('read')"),
    attempt("the kernel's memory", "text = open('/proc/kcore', 'rb').read(64); escaped('read') if text else None"),
    attempt(
        "the kernel's log",
        "buffer = ctypes.create_string_buffer(4096); call(103, 116, 3, buffer, 4096); escaped(buffer.value[:40])",
    ),
    attempt("the kernel's log as a device", "open('/dev/kmsg', 'rb'); escaped('opened')"),
    attempt(
        "addresses of the kernel",
        "lines = open('/proc/kallsyms').read(2000).split('\\n')\nif any(line and line.split()[0].strip('0') for line in lines[:-1]): escaped(lines[0])",
    ),
    attempt("files by handle", "forbidden(304, 265, -100, ctypes.create_string_buffer(128), 0)"),
    attempt(
        "the host's name",
        "import platform\nif HOST['node'] in (platform.node(), open('/proc/sys/kernel/hostname').read().strip()): escaped('it is known')",
    ),
    attempt("the kernel's keys", "text = open('/proc/keys').read(); escaped(text) if text else None"),
]

CHANGING = [
    attempt("write into the root folder", "open('/planted', 'w'); escaped('written')"),
    attempt("write a program", "open('/usr/bin/planted', 'w'); escaped('written')"),
    attempt("change the standard library", "open(os.__file__, 'a'); escaped('written')"),
    attempt(
        "plant a module in site-packages",
        "import sysconfig; open(sysconfig.get_path('purelib') + '/planted.py', 'w'); escaped('written')",
    ),
    attempt("write the users", "open('/etc/passwd', 'a'); escaped('written')"),
    attempt("preload a library", "open('/etc/ld.so.preload', 'w'); escaped('written')"),
    attempt("the pattern for core files", "put('/proc/sys/kernel/core_pattern', '|/tmp/x'); escaped('written')"),
    attempt("the helper for modules", "put('/proc/sys/kernel/modprobe', '/tmp/x'); escaped('written')"),
    attempt("the kernel's magic keys", "put('/proc/sysrq-trigger', 'h'); escaped('written')"),
    attempt(
        "any setting of the kernel",
        """
        import glob
        for name in glob.glob('/proc/sys/kernel/*') + glob.glob('/proc/sys/vm/*') + glob.glob('/proc/sys/fs/*'):
            try:
                old = open(name).read()
                put(name, old)
            except OSError:
                continue
            if not name.rsplit('/', 1)[1].startswith(('shm', 'msg', 'sem', 'auto_msgmni')): escaped(name)
    """,
    ),
    attempt(
        "leave the cgroup",
        """
        for name in ('/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/memory/tasks', '/sys/fs/cgroup/memory/cgroup.procs'):
            if os.path.exists(name): put(name, '1'); escaped(name)
    """,
    ),
    attempt(
        "the cgroup's release agent",
        """
        import glob
        for name in glob.glob('/sys/fs/cgroup/*/release_agent') + ['/sys/fs/cgroup/release_agent']:
            if os.path.exists(name): put(name, '/tmp/x'); escaped(name)
    """,
    ),
    attempt(
        "raise the memory limit",
        """
        import glob
        for name in glob.glob('/sys/fs/cgroup/memory*/memory.limit_in_bytes') + ['/sys/fs/cgroup/memory.max']:
            if os.path.exists(name): put(name, '99999999999'); escaped(name)
    """,
    ),
    attempt(
        "anything of the kernel's devices",
        """
        for folder, _, names in os.walk('/sys'):
            for name in names:
                if os.access(os.path.join(folder, name), os.W_OK): escaped(os.path.join(folder, name))
    """,
    ),
    attempt(
        "anything of other processes",
        """
        for name in os.listdir('/proc/1'):
            if os.path.isfile(f'/proc/1/{name}') and os.access(f'/proc/1/{name}', os.W_OK):
                put(f'/proc/1/{name}', '1'); escaped(name)
    """,
    ),
    attempt("name the host", "socket.sethostname('planted'); escaped(socket.gethostname())"),
    attempt("set the clock", "time.clock_settime(time.CLOCK_REALTIME, time.time()); escaped('set')"),
    attempt("reboot", "forbidden(169, 142, 0, 0, 0, 0)"),
    attempt("swap", "forbidden(167, 224, b'/mnt/data/x', 0)"),
    attempt("accounting", "forbidden(163, 89, b'/mnt/data/x')"),
]

RIGHTS = [
    attempt("become root", "os.setuid(0); escaped(os.getuid())"),
    attempt("become root with every call", "os.setresuid(0, 0, 0); escaped(os.getresuid())"),
    attempt("root's group", "os.setgid(0); escaped(os.getgid())"),
    attempt("other groups", "os.setgroups([0, 6, 42]); escaped(os.getgroups())"),
    item(
        "it is nobody, without capabilities",
        """
        fields = [status(name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
        print("contained" if os.getuid() != 0 and not any(int(field, 16) for field in fields) else fields)
    """,
        expect="contained",
    ),
    item("it cannot gain any, and is filtered", 'print(status("NoNewPrivs"), status("Seccomp"))', expect="1 2"),
    attempt(
        "take capabilities",
        """
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
        call(126, 91, header, data); escaped(status("CapEff"))
    """,
    ),
    attempt("an ambient capability", "call(157, 167, 47, 2, 21, 0, 0); escaped(status('CapAmb'))"),
    attempt(
        "programs that give rights",
        """
        found = subprocess.run(["find", "/usr/bin", "-perm", "-4000"], capture_output=True, text=True).stdout.split()
        for program in found:
            pid = os.spawnv(os.P_NOWAIT, program, [program, "--version"])
            os.waitpid(pid, 0)
        ran = subprocess.run(["su", "-c", "id -u"], capture_output=True, text=True, timeout=3)
        if ran.stdout.strip() == "0": escaped("su")
    """,
    ),
    *(
        attempt(f"a new namespace: {name}", f"forbidden(272, 97, {flag})")
        for name, flag in (
            ("user", 0x10000000),
            ("mount", 0x20000),
            ("pid", 0x20000000),
            ("net", 0x40000000),
            ("uts", 0x4000000),
            ("cgroup", 0x2000000),
            ("time", 0x80),
        )
    ),
    attempt("a child in a new user namespace", "forbidden(56, 220, 0x10000011, 0, 0, 0, 0)"),
    attempt("the same with clone3", "forbidden(435, 435, (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17), 88)"),
    attempt("another's namespace", "forbidden(308, 268, os.open('/proc/self/ns/mnt', os.O_RDONLY), 0)"),
    attempt("mount", "forbidden(165, 40, b'none', b'/mnt/data', b'tmpfs', 0, 0)"),
    attempt("mount the root again, writable", "forbidden(165, 40, b'none', b'/', b'', 32 | 4096, 0)"),
    attempt("the new way to mount", "forbidden(428, 428, -100, b'/', 1)"),
    attempt("unmount /proc", "forbidden(166, 39, b'/proc', 2)"),
    attempt("another root", "os.chroot('/mnt/data'); escaped('did')"),
    attempt("pivot_root", "forbidden(155, 41, b'/mnt/data', b'/mnt/data')"),
    attempt("trace PID 1", "forbidden(101, 117, 16, 1, 0, 0)"),
    attempt("read PID 1's memory by call", "forbidden(310, 270, 1, 0, 0, 0, 0, 0)"),
    attempt("write PID 1's memory by call", "forbidden(311, 271, 1, 0, 0, 0, 0, 0)"),
    attempt("take an open file of PID 1", "forbidden(438, 438, call(434, 434, 1, 0), 0, 0)"),
    attempt("compare with PID 1", "forbidden(312, 272, os.getpid(), 1, 0, 0, 0)"),
    attempt("programs in the kernel", "forbidden(321, 280, 0, ctypes.create_string_buffer(128), 128)"),
    attempt("a kernel module", "forbidden(175, 105, b'', 0, b'')"),
    attempt("a kernel module from a file", "forbidden(313, 273, 0, b'', 0)"),
    attempt("another kernel", "forbidden(246, 104, 0, 0, 0, 0)"),
    attempt("io_uring", "forbidden(425, 425, 8, ctypes.create_string_buffer(256))"),
    attempt("page faults of one's own", "forbidden(323, 282, 0)"),
    attempt("performance counters", "forbidden(298, 241, ctypes.create_string_buffer(128), 0, -1, -1, 0)"),
    attempt("a key", "forbidden(248, 217, b'user', b'x', b'y', 1, -3)"),
    attempt("all keys", "forbidden(250, 219, 0, -3, 0, 0, 0)"),
    attempt("ports of the machine", "forbidden(172, 9999, 3)"),
    attempt("another personality", "forbidden(135, 92, 0x0040000)"),
    attempt("memory of another node", "forbidden(279, 239, 1, 0, 0, 0, 0, 0)"),
    attempt("fanotify", "forbidden(300, 262, 0, 0)"),
    attempt("quotas", "forbidden(179, 60, 0, 0, 0, 0)"),
    attempt("be more urgent", "os.nice(-5); escaped(os.nice(0))"),
    attempt("real time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)); escaped('did')"),
    attempt(
        "more processes than allowed",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)); escaped('did')",
    ),
    attempt("never be the victim", "put('/proc/self/oom_score_adj', '-1000'); escaped('did')"),
    *(
        attempt(
            f"a limit for PID 1: {name}",
            f"import resource; resource.prlimit(1, resource.RLIMIT_{name}, ({value}, {value})); escaped('set')",
        )
        for name, value in (("NOFILE", 0), ("AS", 1 << 20), ("CPU", 1), ("FSIZE", 0))
    ),
    attempt("PID 1 less urgent", "os.setpriority(os.PRIO_PROCESS, 1, 19); escaped('set')"),
    attempt("PID 1's group less urgent", "os.setpriority(os.PRIO_PGRP, os.getpgid(1), 19); escaped('set')"),
    attempt("everybody less urgent", "os.setpriority(os.PRIO_USER, os.getuid(), 19); escaped('set')"),
    attempt(
        "PID 1 when nobody else wants to", "os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)); escaped('set')"
    ),
    attempt("make PID 1 the victim", "put('/proc/1/oom_score_adj', '1000'); escaped('did')"),
    attempt("PID 1's pages", "put('/proc/1/clear_refs', '1'); escaped('did')"),
    attempt("PID 1's program", "escaped(os.readlink('/proc/1/exe'))"),
    attempt("PID 1's working folder", "escaped(os.listdir('/proc/1/cwd'))"),
    attempt("PID 1's root folder", "escaped(os.listdir('/proc/1/root'))"),
    attempt("PID 1's namespaces", "escaped(os.readlink('/proc/1/ns/mnt'))"),
    attempt("PID 1's system call", "escaped(open('/proc/1/syscall').read())"),
    attempt(
        "trace a child", "pid = os.fork()\nif pid == 0: time.sleep(1); os._exit(0)\nforbidden(101, 117, 16, pid, 0, 0)"
    ),
    attempt(
        "a core file", "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)); escaped('did')"
    ),
    attempt(
        "a core file of a child",
        """
        pid = os.fork()
        if pid == 0: os.abort()
        if os.WCOREDUMP(os.waitpid(pid, 0)[1]): escaped('dumped')
        if found := [name for folder in ('.', '/tmp', '/') for name in os.listdir(folder) if name.startswith('core')]: escaped(found)
    """,
    ),
    attempt("type into a terminal", "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x'); escaped('did')"),
    attempt("a terminal of the host", "fd = os.open('/dev/tty', os.O_RDWR); escaped(fd)"),
]

NETWORK = [
    attempt(
        "a service on the host's loopback",
        "socket.create_connection(('127.0.0.1', HOST['port']), 2); escaped('connected')",
    ),
    attempt("the same on IPv6", "socket.create_connection(('::1', HOST['port']), 2); escaped('connected')"),
    attempt(
        "the host by its addresses",
        """
        for address in HOST['addresses']:
            try:
                socket.create_connection((address, HOST['port']), 1)
            except OSError:
                continue
            escaped(address)
    """,
    ),
    attempt(
        "the engine's usual bridges",
        """
        for address in ('172.17.0.1', '172.18.0.1', '10.0.2.2', '192.168.65.2'):
            try:
                socket.create_connection((address, HOST['port']), 0.3)
            except OSError:
                continue
            escaped(address)
    """,
    ),
    attempt(
        "names of the host",
        "for name in ('host.docker.internal', 'gateway.docker.internal'):\n    socket.gethostbyname(name); escaped(name)",
    ),
    attempt("the cloud's metadata", "socket.create_connection(('169.254.169.254', 80), 1); escaped('connected')"),
    attempt("the internet", "socket.create_connection(('1.1.1.1', 443), 1); escaped('connected')"),
    attempt("a name", "escaped(socket.getaddrinfo('example.com', 443))"),
    attempt(
        "a datagram",
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n    s.sendto(b'x', ('8.8.8.8', 53)); escaped('sent')",
    ),
    attempt(
        "any interface but loopback",
        "names = [name for _, name in socket.if_nameindex() if name != 'lo' and not name.startswith(('tunl', 'sit', 'ip6', 'gre', 'erspan', 'ip_vti', 'teql'))]\nescaped(names) if names else None",
    ),
    attempt(
        "a route",
        "routes = open('/proc/net/route').read().strip().split('\\n')[1:]\nescaped(routes) if routes else None",
    ),
    attempt(
        "a local socket in the file system",
        "s = socket.socket(socket.AF_UNIX); s.connect(HOST['socket']); escaped(s.recv(100))",
    ),
    attempt(
        "a local socket without a file",
        "s = socket.socket(socket.AF_UNIX); s.connect(HOST['abstract']); escaped(s.recv(100))",
    ),
    *(
        attempt(f"a socket of another kind: {name}", f"socket.socket({family}, {kind}, {protocol}); escaped('made')")
        for name, family, kind, protocol in (
            ("packet", 17, 3, 3),
            ("netlink", 16, 3, 0),
            ("hypervisor", 40, 1, 0),
            ("crypto", 38, 5, 0),
            ("raw", 2, 3, 1),
            ("raw IPv6", 10, 3, 58),
            ("bluetooth", 31, 3, 1),
            ("tipc", 30, 1, 0),
            ("rds", 21, 5, 0),
            ("xdp", 44, 3, 0),
        )
    ),
    item(
        "loopback works inside",
        """
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        client.sendall(b"inside"); print(peer.recv(10)); client.close(); peer.close(); server.close()
    """,
        expect="b'inside'",
    ),
]

ALL: list[Item] = [*READING, *CHANGING, *RIGHTS, *NETWORK]
