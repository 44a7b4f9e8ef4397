/* The load generator: N WebSocket clients on one epoll loop, which count frames and read the server's CPU clock.
 *
 * It only ever connects to 127.0.0.1, from several loopback addresses, so that ports don't run out. Phases come as lines
 * on the standard input; for the opening and for each phase one line of JSON goes out. Between phases it answers pings.
 *
 * usage: loadgen -p PORT -P SERVER_PID -n CLIENTS [-u PATH] [-f plain|wrapped|socketio] [-c CONNECTING_AT_ONCE]
 *                [-q PORT_OF_THE_SENDERS] [-s SENDERS]
 *
 * With -q the first clients, which are those that send in turn, connect to another server than all others, and what they
 * get themselves does not count: only what comes from one server to the clients of the other one does.
 *
 *   all:M:SIZE         M messages, one after the other, each sent to all clients
 *   group:M:SIZE       the same to a group of 10
 *   one:M:SIZE         the same to one client id
 *   burst:M:SIZE       one trigger, upon which the server sends M messages to all within one turn of its loop
 *   rate:R:SECONDS:SIZE  R messages a second to all, with the time that each delivery took
 *   flow:W:SECONDS:SIZE  messages to all as fast as they come, W of them under way; those that did not come are told
 *   echo:K:SECONDS:SIZE  K clients with one message each under way, with the time that each answer took
 *   connect:K          K more clients, which are closed again afterwards
 *   idle:SECONDS       nothing
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { SOURCES = 8, GROUP_SIZE = 10, MOST_EXTRA = 2000, MOST_TIMES = 4000000, BUFFER = 1 << 20 };
enum { STDIN_MARK = 0x7fffffff };
enum state { UNUSED, CONNECTING, HANDSHAKE, GREETING, OPEN, DEAD };
enum form { PLAIN, WRAPPED, SOCKETIO };

struct client {
    int fd;
    enum state state;
    char *rest; /* the beginning of a frame whose end has not come */
    int rest_size;
};

static struct client *clients;
static int client_count = 1000, at_once = 64, port, sender_port, sender_count = 1, recipients, poller;
static enum form form = PLAIN;
static const char *path = "/ws";
static long server_pid;
static clockid_t server_clock;
static char buffer[BUFFER];

static int opened, dead, closing_extra, stdin_ready;
static uint64_t delivered, missing;
static int timing, echoing, echo_size;
static uint64_t echo_until;
static uint32_t *times;
static size_t time_count;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time))
        return 0;
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t now(void) { return read_clock(CLOCK_MONOTONIC); }

static long server_rss_kb(void) {
    char name[64], line[256];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%ld/status", server_pid);
    FILE *file = fopen(name, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file) && sscanf(line, "VmRSS: %ld", &kb) != 1)
        ;
    fclose(file);
    return kb;
}

/* Clients. */

static void lose(struct client *client) {
    if (client->state == DEAD || client->state == UNUSED)
        return;
    epoll_ctl(poller, EPOLL_CTL_DEL, client->fd, NULL);
    close(client->fd);
    free(client->rest);
    client->rest = NULL;
    client->rest_size = 0;
    client->state = DEAD;
    if (!closing_extra)
        dead++;
}

static void put(struct client *client, const char *bytes, int size) {
    while (size > 0) {
        int sent = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            usleep(50);
            continue;
        }
        if (sent < 0) {
            lose(client);
            return;
        }
        bytes += sent;
        size -= sent;
    }
}

static void put_frame(struct client *client, int opcode, const char *payload, int size) {
    static uint32_t mask = 0x9e3779b9;
    static char frame[70000];
    int head = 2;
    frame[0] = (char)(0x80 | opcode);
    if (size < 126) {
        frame[1] = (char)(0x80 | size);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
        head = 4;
    }
    mask = mask * 1664525u + 1013904223u;
    memcpy(frame + head, &mask, 4);
    for (int i = 0; i < size; i++)
        frame[head + 4 + i] = payload[i] ^ frame[head + (i & 3)];
    put(client, frame, head + 4 + size);
}

static void put_text(struct client *client, const char *text) {
    static char wrapped[70000];
    const char *shape = form == SOCKETIO ? "42[\"m\",%s]" : form == WRAPPED ? "{\"message\":%s}" : "%s";
    int size = snprintf(wrapped, sizeof wrapped, shape, text);
    put_frame(client, 1, wrapped, size);
}

/* A message whose JSON object, which is what comes back, has a size. */
static void put_message(struct client *client, const char *operation, int size) {
    static char text[66000];
    int used = sprintf(text, "{\"op\":\"%s\",\"t\":%llu,\"pad\":\"", operation, (unsigned long long)now());
    while (used < size - 2)
        text[used++] = 'x';
    strcpy(text + used, "\"}");
    put_text(client, text);
}

static void note_time(const char *payload, uint64_t size) {
    const char *found = memmem(payload, size < 200 ? size : 200, "\"t\":", 4);
    if (found && time_count < MOST_TIMES)
        times[time_count++] = (now() - strtoull(found + 4, NULL, 10)) / 1000;
}

/* Socket.IO's own protocol in text frames; whether this frame is a message. */
static int is_socketio_message(struct client *client, const char *payload, uint64_t size) {
    if (size == 1 && payload[0] == '2') {
        put_frame(client, 1, "3", 1);
    } else if (client->state == GREETING && size >= 2 && payload[0] == '4' && payload[1] == '0') {
        client->state = OPEN;
        opened++;
    } else if (client->state == GREETING && size && payload[0] == '0') {
        put_frame(client, 1, "40", 2);
    } else {
        return size >= 2 && payload[0] == '4' && payload[1] == '2';
    }
    return 0;
}

static void take_frame(struct client *client, int opcode, char *payload, uint64_t size) {
    if (opcode == 9)
        put_frame(client, 10, payload, size);
    if (opcode == 8)
        lose(client);
    if (opcode != 1 && opcode != 2)
        return;
    if (form == SOCKETIO && !is_socketio_message(client, payload, size))
        return;
    if (sender_port && client < clients + sender_count)
        return;
    delivered++;
    if (timing)
        note_time(payload, size);
    if (echoing) {
        if (now() < echo_until)
            put_message(client, "echo", echo_size);
        else
            echoing--;
    }
}

static int take_answer(struct client *client, int size) {
    buffer[size] = 0;
    char *end = strstr(buffer, "\r\n\r\n");
    if (!end)
        return 0;
    if (strncmp(buffer, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "no upgrade: %.200s\n", buffer);
        exit(3);
    }
    client->state = form == SOCKETIO ? GREETING : OPEN;
    opened += client->state == OPEN;
    return end + 4 - buffer;
}

static int take_frames(struct client *client, int at, int size) {
    while (size - at >= 2 && client->state != DEAD) {
        unsigned char *bytes = (unsigned char *)buffer + at;
        uint64_t length = bytes[1] & 127;
        int head = length == 126 ? 4 : length == 127 ? 10 : 2;
        if (size - at < head)
            break;
        if (head > 2)
            length = 0;
        for (int i = 2; i < head; i++)
            length = length << 8 | bytes[i];
        if (length > BUFFER / 2) {
            fprintf(stderr, "a frame of %llu bytes\n", (unsigned long long)length);
            exit(3);
        }
        if (size - at < head + (int)length)
            break;
        take_frame(client, bytes[0] & 15, (char *)bytes + head, length);
        at += head + length;
    }
    return at;
}

static void read_from(struct client *client) {
    int before = client->rest_size, at = 0;
    memcpy(buffer, client->rest ? client->rest : "", before);
    int size = recv(client->fd, buffer + before, BUFFER - before - 1, 0);
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            lose(client);
        return;
    }
    size += before;
    if (client->state == HANDSHAKE)
        at = take_answer(client, size);
    if (client->state != HANDSHAKE)
        at = take_frames(client, at, size);
    if (client->state == DEAD)
        return;
    free(client->rest);
    client->rest = NULL;
    client->rest_size = size - at;
    if (client->rest_size) {
        client->rest = malloc(client->rest_size);
        memcpy(client->rest, buffer + at, client->rest_size);
    }
}

static void start_client(int index) {
    struct client *client = &clients[index];
    struct sockaddr_in own = {.sin_family = AF_INET}, server = {.sin_family = AF_INET};
    struct linger reset = {1, 0};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
    int one = 1;
    memset(client, 0, sizeof *client);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        fail("socket");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* leaves no port in TIME_WAIT */
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    own.sin_addr.s_addr = htonl(0x7f000101 + index % SOURCES); /* 127.0.1.1 and up: never the servers' own address */
    if (bind(client->fd, (struct sockaddr *)&own, sizeof own))
        fail("bind");
    server.sin_port = htons(sender_port && index < sender_count ? sender_port : port);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail("connect");
    client->state = CONNECTING;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event))
        fail("epoll_ctl");
}

static void connected(int index) {
    struct client *client = &clients[index];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    char request[1024];
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        fprintf(stderr, "connect: %s\n", strerror(error));
        lose(client);
        return;
    }
    epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &event);
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                        "User-Agent: loadgen\r\n\r\n",
                        path, port);
    client->state = HANDSHAKE;
    put(client, request, size);
}

static void pump(int milliseconds) {
    static struct epoll_event events[4096];
    int ready = epoll_wait(poller, events, 4096, milliseconds);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.u32 == STDIN_MARK) {
            stdin_ready = 1;
            continue;
        }
        struct client *client = &clients[events[i].data.u32];
        if (client->state == CONNECTING)
            connected(events[i].data.u32);
        else if (client->state != DEAD && client->state != UNUSED)
            read_from(client);
    }
}

static void pump_for(double seconds) {
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    while (now() < end)
        pump(5);
}

/* Until a time, to the microsecond: epoll itself knows milliseconds only, and those who wait in a loop take a core. */
static void pump_until(uint64_t time) {
    struct pollfd ready = {.fd = poller, .events = POLLIN};
    uint64_t before = now(), left = time > before ? time - before : 0;
    struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    if (ppoll(&ready, 1, &wait, NULL) > 0)
        pump(0);
}

/* Phases. */

static int compare_times(const void *one, const void *other) {
    uint32_t left = *(const uint32_t *)one, right = *(const uint32_t *)other;
    return left < right ? -1 : left > right;
}

static uint64_t begin_wall, begin_cpu, end_wall; /* the end where a phase knows it better than its report */

static void begin(void) {
    delivered = missing = end_wall = 0;
    time_count = 0;
    begin_cpu = read_clock(server_clock);
    begin_wall = now();
}

static void report(const char *phase, uint64_t units, const char *error) {
    uint64_t wall = (end_wall ? end_wall : now()) - begin_wall;
    pump_for(0.02); /* the kernel counts what a process used up when it pauses */
    uint64_t cpu = read_clock(server_clock) - begin_cpu;
    printf("{\"phase\":\"%s\",\"clients\":%d,\"units\":%llu,\"wall_seconds\":%.4f,\"cpu_us\":%.4f,\"rss_kb\":%ld", phase,
           client_count, (unsigned long long)units, wall / 1e9, units ? cpu / 1e3 / units : 0.0, server_rss_kb());
    if (time_count) {
        qsort(times, time_count, sizeof *times, compare_times);
        printf(",\"p50_us\":%u,\"p99_us\":%u", times[time_count / 2], times[time_count * 99 / 100]);
    }
    if (missing)
        printf(",\"missing\":%llu", (unsigned long long)missing);
    if (error || dead)
        printf(",\"error\":\"%s\"", error ? error : "clients were dropped");
    printf("}\n");
    fflush(stdout);
}

/* Whether so many deliveries came, with no pause of 10 s and no client lost. */
static int wait_for(uint64_t wanted) {
    uint64_t last = delivered, since = now();
    while (delivered < wanted) {
        pump(200);
        if (delivered != last) {
            last = delivered;
            since = now();
        }
        if (dead || now() - since > 10000000000ull)
            return 0;
    }
    return 1;
}

/* Whether clients first to last-1 opened. */
static int open_clients(int first, int last) {
    int next = first, before = opened;
    uint64_t since = now(), seen = opened;
    while (opened - before < last - first) {
        while (next < last && next - first - (opened - before) < at_once)
            start_client(next++);
        pump(200);
        if ((uint64_t)opened != seen) {
            seen = opened;
            since = now();
        }
        if (dead || now() - since > 15000000000ull)
            return 0;
    }
    return 1;
}

static const char *deliveries(const char *operation, int messages, int size, int recipients) {
    for (int i = 1; i <= messages; i++) {
        put_message(&clients[0], operation, size);
        if (!wait_for((uint64_t)i * recipients))
            return "deliveries are missing";
    }
    return NULL;
}

static const char *burst(int messages, int size) {
    char text[128];
    snprintf(text, sizeof text, "{\"op\":\"burst\",\"m\":%d,\"size\":%d}", messages, size);
    put_text(&clients[0], text);
    return wait_for((uint64_t)messages * recipients) ? NULL : "deliveries are missing";
}

static const char *rate(double per_second, double seconds, int size) {
    uint64_t interval = 1e9 / per_second, start = now(), messages = per_second * seconds, sent = 0;
    uint64_t last = start + messages * interval + 5000000000ull;
    timing = 1;
    while (sent < messages || delivered < messages * recipients) {
        uint64_t due = start + sent * interval, time = now();
        if (sent < messages && time >= due) {
            put_message(&clients[sent % sender_count], "all", size);
            sent++;
            continue;
        }
        if (dead || time > last)
            break;
        pump_until(sent < messages ? due : time + 50000000);
    }
    timing = 0;
    return delivered < messages * recipients ? "it can't hold this rate" : NULL;
}

/* It ends when all came, or when none came for a second. */
static void flow(int window, double seconds, int size) {
    uint64_t until = now() + (uint64_t)(seconds * 1e9), sent = 0, seen = 0, time = now();
    end_wall = time;
    while (!dead && (time < until || (delivered < sent * recipients && time < end_wall + 1000000000))) {
        if (time < until && sent - delivered / recipients < (uint64_t)window) {
            put_message(&clients[sent % sender_count], "all", size);
            sent++;
        } else {
            pump(5);
        }
        time = now();
        if (delivered != seen) {
            seen = delivered;
            end_wall = time;
        }
    }
    missing = sent * recipients - delivered;
}

static const char *echo(int count, double seconds, int size) {
    count = count > client_count ? client_count : count;
    timing = 1;
    echoing = count;
    echo_size = size;
    echo_until = now() + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++)
        put_message(&clients[i], "echo", size);
    while (echoing > 0 && !dead && now() < echo_until + 5000000000ull)
        pump(200);
    const char *error = echoing > 0 ? "answers are missing" : NULL;
    timing = echoing = 0;
    return error;
}

static void close_extra(int count) {
    closing_extra = 1;
    for (int i = client_count; i < client_count + count; i++)
        lose(&clients[i]);
    pump_for(0.3);
    closing_extra = 0;
}

static void run_phase(char *line) {
    char name[256];
    double values[3] = {0, 0, 0};
    snprintf(name, sizeof name, "%s", line);
    char *operation = strtok(line, ":"), *value;
    for (int i = 0; i < 3 && (value = strtok(NULL, ":")); i++)
        values[i] = atof(value);
    pump_for(0.02);
    const char *error = "there is no such phase";
    begin();
    if (!strcmp(operation, "all"))
        error = deliveries(operation, values[0], values[1], recipients);
    else if (!strcmp(operation, "group"))
        error = deliveries(operation, values[0], values[1], GROUP_SIZE);
    else if (!strcmp(operation, "one"))
        error = deliveries(operation, values[0], values[1], 1);
    else if (!strcmp(operation, "burst"))
        error = burst(values[0], values[1]);
    else if (!strcmp(operation, "rate"))
        error = rate(values[0], values[1], values[2]);
    else if (!strcmp(operation, "flow"))
        flow(values[0], values[1], values[2]), error = NULL;
    else if (!strcmp(operation, "echo"))
        error = echo(values[0], values[1], values[2]);
    else if (!strcmp(operation, "idle"))
        pump_for(values[0]), error = NULL, delivered = 1;
    else if (!strcmp(operation, "connect")) {
        int extra = values[0] > MOST_EXTRA ? MOST_EXTRA : values[0];
        error = open_clients(client_count, client_count + extra) ? NULL : "clients could not connect";
        report(name, extra, error);
        close_extra(extra);
        return;
    }
    report(name, delivered, error);
}

static void read_arguments(int count, char **arguments) {
    int option;
    while ((option = getopt(count, arguments, "p:P:n:u:f:c:q:s:")) != -1) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'P': server_pid = atol(optarg); break;
        case 'n': client_count = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': at_once = atoi(optarg); break;
        case 'q': sender_port = atoi(optarg); break;
        case 's': sender_count = atoi(optarg); break;
        case 'f': form = !strcmp(optarg, "socketio") ? SOCKETIO : !strcmp(optarg, "wrapped") ? WRAPPED : PLAIN; break;
        default: exit(1);
        }
    }
    recipients = client_count - (sender_port ? sender_count : 0);
    if (!port || !server_pid || sender_count < 1 || recipients < (sender_port ? 1 : GROUP_SIZE) || clock_getcpuclockid(server_pid, &server_clock)) {
        fprintf(stderr, "needed: -p PORT, -P the pid of the server, -n 10 or more clients, with -q more than those that send\n");
        exit(1);
    }
}

int main(int count, char **arguments) {
    struct rlimit files;
    static char line[256];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = STDIN_MARK};
    read_arguments(count, arguments);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setvbuf(stdin, NULL, _IONBF, 0);
    prctl(PR_SET_TIMERSLACK, 1000);
    clients = calloc(client_count + MOST_EXTRA, sizeof *clients);
    times = malloc(MOST_TIMES * sizeof *times);
    poller = epoll_create1(0);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event))
        fail("standard input");
    int first = client_count / 2; /* these use up what a start leaves free, and count for nothing */
    int opens = open_clients(0, first);
    pump_for(0.2);
    long rss_before_kb = server_rss_kb();
    begin();
    opens = opens && open_clients(first, client_count);
    const char *error = opens ? NULL : "clients could not connect";
    uint64_t wall = now() - begin_wall;
    pump_for(0.2);
    uint64_t cpu = read_clock(server_clock) - begin_cpu;
    printf("{\"phase\":\"open\",\"clients\":%d,\"counted\":%d,\"wall_seconds\":%.4f,\"cpu_us\":%.4f", client_count,
           client_count - first, wall / 1e9, cpu / 1e3 / (client_count - first));
    printf(",\"rss_before_kb\":%ld,\"rss_kb\":%ld", rss_before_kb, server_rss_kb());
    if (error)
        printf(",\"error\":\"%s\"", error);
    printf("}\n");
    fflush(stdout);
    while (!error) {
        while (!stdin_ready)
            pump(1000);
        stdin_ready = 0;
        if (!fgets(line, sizeof line, stdin))
            break;
        line[strcspn(line, "\r\n")] = 0;
        run_phase(line);
    }
    return error != NULL;
}
