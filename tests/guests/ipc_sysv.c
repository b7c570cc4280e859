// System V semaphores, shared memory and message queues: results, waiting, permissions, and what ends with a process.
#include "show.h"
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };
#define KEY 0x52580001

static int op(int id, int n, int change, int flags) { return semop(id, &(struct sembuf){n, change, flags}, 1); }
static void on_signal(int s) { (void)s; }

static void semaphores(void) {
    SHOW(semget(KEY, 3, 0));
    int id = semget(KEY, 3, IPC_CREAT | 0600);
    SHOW(id >= 0);
    SHOW(semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(semget(KEY, 4, 0));
    SHOW(semget(KEY, 0, 0) == id);
    SHOW(semget(IPC_PRIVATE, 0, 0600));
    SHOW(semget(IPC_PRIVATE, -1, 0600));
    SHOW(semctl(id, 0, GETVAL));
    SHOW(semctl(id, 3, GETVAL));
    SHOW(semctl(id + 77777, 0, GETVAL));
    SHOW(semctl(id, 0, 999));
    SHOW(semctl(id, 1, SETVAL, (union semun){.val = 5}));
    SHOW(semctl(id, 1, SETVAL, (union semun){.val = 40000}));
    unsigned short values[3] = {1, 2, 3}, back[3];
    SHOW(semctl(id, 0, SETALL, (union semun){.array = values}));
    SHOW(semctl(id, 0, GETALL, (union semun){.array = back}));
    printf("%d %d %d\n", back[0], back[1], back[2]);
    // The array may end where memory ends.
    char *edge = (char *)mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 4096;
    munmap(edge, 4096);
    memcpy(edge - 6, values, 6);
    SHOW(semctl(id, 0, SETALL, (union semun){.array = (void *)(edge - 6)}));
    SHOW(semctl(id, 0, SETALL, (union semun){.array = (void *)(edge - 4)}));
    SHOW(semctl(id, 0, GETALL, (union semun){.array = (void *)(edge - 4)}));
    SHOW(op(id, 0, -1, 0));
    SHOW(op(id, 0, -1, IPC_NOWAIT));
    SHOW(op(id, 0, 0, 0));
    SHOW(op(id, 1, 0, IPC_NOWAIT));
    SHOW(op(id, 9, 1, 0));
    SHOW(op(id, 0, 32767, 0));
    SHOW(op(id, 0, 1, 0));
    SHOW(semctl(id, 0, GETPID) == getpid());
    struct sembuf two[2] = {{1, 1, 0}, {2, -9, IPC_NOWAIT}};
    SHOW(semop(id, two, 2));
    SHOW(semctl(id, 1, GETVAL));
    SHOW(semop(id, two, 0));
    static struct sembuf many[501];
    SHOW(semop(id, many, 501));
    SHOW(semtimedop(id, two + 1, 1, &(struct timespec){0, 1000000}));
    two[1].sem_flg = 0;
    SHOW(semtimedop(id, two + 1, 1, &(struct timespec){0, 1000000}));
    SHOW(semtimedop(id, two + 1, 1, &(struct timespec){0, -1}));
    // A handler ends the wait, whatever its flags.
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &a, 0);
    alarm_every(1);
    SHOW(semop(id, two + 1, 1));
    alarm_every(0);
    struct semid_ds d;
    SHOW(semctl(id, 0, IPC_STAT, (union semun){.buf = &d}));
    printf("%ld sems key %x mode %o mine %d\n", d.sem_nsems, d.sem_perm.__key, d.sem_perm.mode, d.sem_perm.uid == getuid() && d.sem_perm.cuid == getuid());
    SHOW(d.sem_otime >= d.sem_ctime - 2 && d.sem_ctime > 1600000000);
    d.sem_perm.mode = 0640;
    SHOW(semctl(id, 0, IPC_SET, (union semun){.buf = &d}));
    semctl(id, 0, IPC_STAT, (union semun){.buf = &d});
    printf("mode %o\n", d.sem_perm.mode);

    // Between processes: two take turns.
    values[0] = 1, values[1] = 0, values[2] = 0;
    semctl(id, 0, SETALL, (union semun){.array = values});
    int *count = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), good = 1;
    pid_t child = fork();
    for (int i = 0; i < 100; i++) {
        op(id, child == 0, -1, 0);
        good &= *count % 2 == (child == 0);
        ++*count;
        op(id, child != 0, 1, 0);
    }
    if (!child) _exit(!good);
    int status;
    waitpid(child, &status, 0);
    printf("turns %d, child %x, parent %d\n", *count, status, good);

    // Undone at the end of a process, even a violent one.
    values[0] = 5;
    semctl(id, 0, SETALL, (union semun){.array = values});
    for (int violent = 0; violent < 2; violent++) {
        int p[2];
        pipe(p);
        if (!(child = fork())) {
            op(id, 0, -3, SEM_UNDO);
            op(id, 2, 2, SEM_UNDO);
            op(id, 2, 1, 0);
            write(p[1], "x", 1);
            if (violent) pause();
            exit(0);
        }
        char c;
        read(p[0], &c, 1);
        if (violent) SHOW(semctl(id, 0, GETVAL)), kill(child, SIGKILL);
        waitpid(child, &status, 0);
        SHOW(semctl(id, 0, GETVAL));
        SHOW(semctl(id, 2, GETVAL));
        close(p[0]), close(p[1]);
    }
    // Who waits is counted, and told of the removal.
    if (!(child = fork())) {
        SHOW(op(id, 1, -9, 0));
        exit(0);
    }
    while (semctl(id, 1, GETNCNT) != 1) usleep(1000);
    SHOW(semctl(id, 1, GETZCNT));
    int removed = semctl(id, 0, IPC_RMID);
    waitpid(child, 0, 0);
    SHOW(removed);
    SHOW(semctl(id, 0, GETVAL));
    SHOW(op(id, 0, 1, 0));
}

static void memory(void) {
    SHOW(shmget(KEY, 0, IPC_CREAT | 0600));
    SHOW(shmget(KEY, 5000, 0600));
    int id = shmget(KEY, 5000, IPC_CREAT | 0600);
    SHOW(id >= 0);
    SHOW(shmget(KEY, 5001, 0));
    SHOW(shmget(KEY, 10, 0) == id);
    int *at = shmat(id, 0, 0);
    SHOW(at != (void *)-1);
    SHOW(at[0] + at[2000]);
    at[0] = 77;
    at[2047] = 78;
    int *ro = shmat(id, 0, SHM_RDONLY);
    SHOW(ro[0] + ro[2047]);
    struct shmid_ds d;
    SHOW(shmctl(id, IPC_STAT, &d));
    printf("%ld bytes %ld attached mode %o creator %d last %d key %x\n", (long)d.shm_segsz, (long)d.shm_nattch, d.shm_perm.mode,
           d.shm_cpid == getpid(), d.shm_lpid == getpid(), d.shm_perm.__key);
    SHOW(d.shm_atime > 1600000000 && d.shm_dtime == 0);
    int p[2];
    SHOW(pipe(p));
    SHOW(write(p[1], ro, 4));
    SHOW(read(p[0], ro, 4));
    SHOW(shmdt(ro));
    SHOW(shmdt(ro));
    SHOW(shmdt((char *)at + 4096));
    SHOW(shmat(id, (char *)at + 1, 0) == (void *)-1);
    SHOW(shmat(id, at, 0) == (void *)-1 ? errno : 0);
    void *free = mmap(0, 16384, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(shmat(id, free, SHM_REMAP) == free);
    SHOW(*(int *)free);
    // A hole in the middle.
    SHOW(munmap(free, 4096));
    SHOW(shmdt(free));
    munmap(free, 16384);
    SHOW(shmat(id, (char *)free + 100, SHM_RND) == free);
    SHOW(shmdt(free));
    pid_t child = fork();
    if (!child) {
        at[1] = at[0] + 1;
        shmctl(id, IPC_STAT, &d);
        printf("in the child %ld attached\n", (long)d.shm_nattch);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%x %d\n", status, at[1]);
    shmctl(id, IPC_STAT, &d);
    SHOW(d.shm_nattch);
    SHOW(d.shm_lpid == child);
    // By its key from another program's point of view, after the end of a process that was killed.
    if (!(child = fork())) {
        int *other = shmat(shmget(KEY, 0, 0), 0, 0);
        other[2] = 99;
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    shmctl(id, IPC_STAT, &d);
    printf("%x %d %ld\n", status, at[2], (long)d.shm_nattch);
    char maps[100000] = {0};
    int fd = open("/proc/self/maps", O_RDONLY);
    for (long n = 0, got; (got = read(fd, maps + n, sizeof maps - n - 1)) > 0;) n += got;
    SHOW(strstr(maps, "rw-s") && strstr(maps, "/SYSV52580001 (deleted)"));
    SHOW(shmctl(id, SHM_LOCK, 0));
    shmctl(id, IPC_STAT, &d);
    printf("mode %o\n", d.shm_perm.mode);
    SHOW(shmctl(id, SHM_UNLOCK, 0));
    SHOW(shmctl(id, IPC_RMID, 0));
    SHOW(shmget(KEY, 10, 0));
    shmctl(id, IPC_STAT, &d);
    printf("mode %o key %x attached %ld\n", d.shm_perm.mode, d.shm_perm.__key, (long)d.shm_nattch);
    at[5] = 1;
    SHOW(shmdt(at));
    SHOW(shmctl(id, IPC_STAT, &d));
    SHOW(shmat(id, 0, 0) == (void *)-1);
    // What may only be read.
    id = shmget(IPC_PRIVATE, 100, 0400);
    if (getuid()) SHOW(shmat(id, 0, 0) == (void *)-1);
    SHOW((ro = shmat(id, 0, SHM_RDONLY)) != (void *)-1);
    SHOW(mprotect(ro, 4096, PROT_READ | PROT_WRITE));
    SHOW(shmdt(ro));
    SHOW(shmctl(id, IPC_RMID, 0));
}

struct message { long type; char text[9000]; };
static struct message m;

static void *send_later(void *id) {
    struct message x = {7, "late"};
    usleep(20000);
    msgsnd((long)id, &x, 4, 0);
    return 0;
}

static void messages(void) {
    SHOW(msgget(KEY, 0));
    int id = msgget(KEY, IPC_CREAT | 0600);
    SHOW(id >= 0);
    m.type = 0;
    SHOW(msgsnd(id, &m, 1, 0));
    m.type = 5;
    strcpy(m.text, "five");
    SHOW(msgsnd(id, &m, 5, 0));
    SHOW(msgsnd(id, &m, -1, 0));
    SHOW(msgsnd(id, &m, 8193, 0));
    SHOW(msgsnd(id, (void *)8, 1, 0));
    m.type = 2;
    strcpy(m.text, "two");
    SHOW(msgsnd(id, &m, 4, 0));
    m.type = 3;
    SHOW(msgsnd(id, &m, 0, 0));
    struct msqid_ds d;
    SHOW(msgctl(id, IPC_STAT, &d));
    printf("%ld messages %ld bytes of %ld last %d %d mode %o\n", (long)d.msg_qnum, (long)d.__msg_cbytes, (long)d.msg_qbytes,
           d.msg_lspid == getpid(), d.msg_lrpid, d.msg_perm.mode);
    SHOW(msgrcv(id, &m, 2, 5, 0));
    SHOW(msgrcv(id, &m, 100000, -4, 0));
    printf("%ld %s\n", m.type, m.text);
    SHOW(msgrcv(id, &m, 3, 5, MSG_NOERROR));
    show_bytes("cut", m.text, 3);
    SHOW(msgrcv(id, &m, 100, 9, IPC_NOWAIT));
    SHOW(msgrcv(id, &m, 100, 9, MSG_EXCEPT));
    printf("%ld\n", m.type);
    pthread_t t;
    pthread_create(&t, 0, send_later, (void *)(long)id);
    SHOW(msgrcv(id, &m, 100, 7, 0));
    show_bytes("late", m.text, 4);
    pthread_join(t, 0);
    m.type = 1;
    int n = 0;
    while (!msgsnd(id, &m, 8192, IPC_NOWAIT)) n++;
    show("full", -1);
    SHOW(n);
    // A child empties the queue, and a sender that waits goes on.
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < n + 1; i++) msgrcv(id, &m, 8192, 0, 0);
        exit(0);
    }
    SHOW(msgsnd(id, &m, 8192, 0));
    waitpid(child, 0, 0);
    msgctl(id, IPC_STAT, &d);
    printf("%ld messages, taken by the child %d\n", (long)d.msg_qnum, d.msg_lrpid == child);
    d.msg_qbytes = 100;
    d.msg_perm.mode = 0600;
    SHOW(msgctl(id, IPC_SET, &d));
    SHOW(msgsnd(id, &m, 101, IPC_NOWAIT));
    int told[2];
    pipe(told);
    if (!(child = fork())) {
        struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigaction(SIGALRM, &a, 0);
        alarm_every(1);
        SHOW(msgrcv(id, &m, 100, 0, 0));
        alarm_every(0);
        write(told[1], "x", 1);
        long got = msgrcv(id, &m, 100, 0, 0);
        // The queue may be gone before the call or during it.
        SHOW(got == -1 && (errno == EIDRM || errno == EINVAL));
        exit(0);
    }
    // The first call ends by the alarm; then the child says so and makes the second.
    char c;
    read(told[0], &c, 1);
    int removed = msgctl(id, IPC_RMID, 0);
    waitpid(child, 0, 0);
    SHOW(removed);
    SHOW(msgsnd(id, &m, 1, 0));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    semaphores();
    memory();
    messages();
    return 0;
}
