# A service of the lab: activated by its socket, reloaded by SIGHUP, watched, with a descriptor that its manager keeps.
import os, select, signal, socket, time


def tell(text, *descriptors):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = os.environ["NOTIFY_SOCKET"]
        manager.connect("\0" + name[1:] if name[0] == "@" else name)
        if descriptors:
            socket.send_fds(manager, [text.encode()], descriptors)
        else:
            manager.send(text.encode())


def reload(*_):
    global generation
    generation += 1
    tell("RELOADING=1\nMONOTONIC_USEC=%d" % (time.monotonic_ns() // 1000))
    tell("READY=1\nSTATUS=generation %d" % generation)


generation = 0
names = os.environ["LISTEN_FDNAMES"].split(":")
own = all(os.environ[name] == str(os.getpid()) for name in ["LISTEN_PID", "WATCHDOG_PID"])
web = socket.socket(fileno=3 + names.index("web"))
if "kept" in names:
    kept = os.pread(3 + names.index("kept"), 99, 0).decode()
else:
    kept = "nothing"
    file = os.memfd_create("kept")
    os.write(file, b"something")
    tell("FDSTORE=1\nFDNAME=kept", file)
signal.signal(signal.SIGHUP, reload)
tell("READY=1\nSTATUS=up")
while True:
    if select.select([web], [], [], 0.1)[0]:
        client = web.accept()[0]
        word = client.recv(99).decode()
        client.sendall(f"{word}: generation {generation}, kept {kept}, {'own' if own else 'foreign'} ids".encode())
        client.close()
        if word == "hang":
            time.sleep(1000)
    tell("WATCHDOG=1")
