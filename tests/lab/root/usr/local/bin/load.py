# Sends requests to a port, one after another by two clients, while each of the commands runs; says how many failed.
import collections, socket, subprocess, sys, threading, time

port, commands = int(sys.argv[1]), sys.argv[2:]
outcomes = collections.Counter()
ends = False


def client():
    while not ends:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                reply = b"".join(iter(lambda: s.recv(4096), b""))
                outcomes["well" if reply.endswith(b"well\n") else "cut off"] += 1
        except OSError as e:
            outcomes[e.strerror or str(e)] += 1


def more_answers():
    wanted = outcomes["well"] + 30
    for _ in range(600):
        if outcomes["well"] >= wanted:
            return
        time.sleep(0.1)
    outcomes["no answer"] += 1


clients = [threading.Thread(target=client) for _ in range(2)]
for thread in clients:
    thread.start()
more_answers()
for command in commands:
    subprocess.run(command.split(), check=True)
    more_answers()
ends = True
for thread in clients:
    thread.join()
del outcomes["well"]
print(f"{outcomes.total()} failed", *sorted(outcomes))
