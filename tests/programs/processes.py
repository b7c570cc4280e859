# Threads, processes and servers with Python's own libraries; the argument is how multiprocessing starts processes.
import asyncio, multiprocessing, os, signal, socket, socketserver, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory


def square(x):
    return x * x


def write_shared(name, queue):
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[0] = 42
    memory.close()
    queue.put('done')


def add(value, lock):
    for _ in range(200):
        with lock:
            value.value += 1


def with_processes():
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, range(20)), sum(pool.imap_unordered(square, range(100))))
    queue = multiprocessing.Queue()
    memory = shared_memory.SharedMemory(create=True, size=100)
    child = multiprocessing.Process(target=write_shared, args=(memory.name, queue))
    child.start()
    print(queue.get())
    child.join()
    print(memory.buf[0], child.exitcode)
    memory.close()
    memory.unlink()
    value, lock = multiprocessing.Value('i', 0), multiprocessing.Lock()
    children = [multiprocessing.Process(target=add, args=(value, lock)) for _ in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    print(value.value)
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))
    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(square, range(1000))))
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        shared['a'] = 1
        print(dict(shared))


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())


def with_servers():
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Upper) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for i in range(10):
            with socket.create_connection(server.server_address) as client:
                client.sendall(b'line %d\n' % i)
                print(client.makefile().readline(), end='')
        server.shutdown()


async def with_asyncio():
    async def answer(reader, writer):
        writer.write(b'echo ' + await reader.readline())
        await writer.drain()
        writer.close()

    async def ask(i):
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        writer.write(b'%d\n' % i)
        data = await reader.read()
        writer.close()
        return data

    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    print(await asyncio.gather(*[ask(i) for i in range(20)]))
    server.close()
    child = await asyncio.create_subprocess_exec('cat', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(await child.communicate(b'abc'))
    child = await asyncio.create_subprocess_exec('sleep', '100')
    child.terminate()
    print(await child.wait())
    try:
        await asyncio.wait_for(asyncio.sleep(100), 0.05)
    except asyncio.TimeoutError:
        print('timeout')
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, event.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await event.wait()
    print(await loop.run_in_executor(None, square, 5))


def with_subprocesses():
    print(subprocess.run('exit 3', shell=True).returncode, subprocess.check_output(['sort'], input=b'b\na\n'))
    try:
        subprocess.run(['sleep', '100'], timeout=0.1)
    except subprocess.TimeoutExpired:
        print('expired')
    children = [subprocess.Popen(['sh', '-c', f'exit {i}']) for i in range(10)]
    print([child.wait() for child in children])


def with_signals():
    hits = []
    signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    while len(hits) < 10:
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print('interrupted')


if __name__ == '__main__':
    multiprocessing.set_start_method(sys.argv[1])
    with_processes()
    if sys.argv[1] == 'fork':
        with_servers()
        asyncio.run(with_asyncio())
        with_subprocesses()
        with_signals()
