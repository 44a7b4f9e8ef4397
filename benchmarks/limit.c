/* The limit: what the kernel alone costs. An epoll server that sends ready frames with send(), one client after another.
 *
 * It answers every upgrade with the same accept value (the load generator always sends the same key), looks for the
 * operation with strstr instead of parsing JSON, and keeps no state but the list of its clients. Loopback only.
 *
 * usage: limit PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 70000, MAX_PAYLOAD = 65535, GROUP_SIZE = 10, ONE = 3 };

static int clients[MAX_FDS], client_count;
static int position[MAX_FDS]; /* of each descriptor in clients, plus 1; 0 before its handshake */
static char input[MAX_PAYLOAD + 64], frame[MAX_PAYLOAD + 16];

static const char ANSWER[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int make_frame(const char *payload, int size) {
    int head = 2;
    frame[0] = (char)0x81;
    if (size < 126) {
        frame[1] = (char)size;
    } else {
        frame[1] = 126;
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
        head = 4;
    }
    memcpy(frame + head, payload, size);
    return head + size;
}

static void send_frame(int fd, int size) {
    if (send(fd, frame, size, MSG_NOSIGNAL) != size && errno != EPIPE && errno != ECONNRESET)
        fprintf(stderr, "a client did not take a whole frame\n");
}

static void send_to_first(int count, int size) {
    for (int i = 0; i < count && i < client_count; i++)
        send_frame(clients[i], size);
}

static void handle(int fd, char *text, int size) {
    static char pad[MAX_PAYLOAD];
    if (strstr(text, "\"op\":\"all\"")) {
        send_to_first(client_count, make_frame(text, size));
    } else if (strstr(text, "\"op\":\"echo\"")) {
        send_frame(fd, make_frame(text, size));
    } else if (strstr(text, "\"op\":\"group\"")) {
        send_to_first(GROUP_SIZE, make_frame(text, size));
    } else if (strstr(text, "\"op\":\"one\"")) {
        send_frame(clients[ONE], make_frame(text, size));
    } else if (strstr(text, "\"op\":\"burst\"")) {
        char *times = strstr(text, "\"m\":"), *bytes = strstr(text, "\"size\":");
        int wanted = bytes ? atoi(bytes + 7) : 0;
        if (!times || wanted < 1 || wanted > MAX_PAYLOAD)
            return;
        memset(pad, 'x', wanted);
        for (int i = atoi(times + 4); i > 0; i--)
            send_to_first(client_count, make_frame(pad, wanted));
    }
}

static void drop(int fd) {
    if (position[fd]) {
        int last = clients[--client_count];
        clients[position[fd] - 1] = last;
        position[last] = position[fd];
        position[fd] = 0;
    }
    close(fd);
}

static void read_frames(int fd, int size) {
    int at = 0;
    while (size - at >= 6) {
        unsigned char *bytes = (unsigned char *)input + at;
        int length = bytes[1] & 127, head = 2;
        if (length == 126) {
            length = bytes[2] << 8 | bytes[3];
            head = 4;
        }
        if (size - at < head + 4 + length)
            return;
        unsigned char *mask = bytes + head;
        char *payload = (char *)bytes + head + 4;
        for (int i = 0; i < length; i++)
            payload[i] ^= mask[i & 3];
        char after = payload[length];
        payload[length] = 0;
        if ((bytes[0] & 15) == 1)
            handle(fd, payload, length);
        payload[length] = after;
        at += head + 4 + length;
    }
}

static void read_from(int fd) {
    int size = recv(fd, input, sizeof input - 1, 0);
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            drop(fd);
        return;
    }
    if (position[fd]) {
        read_frames(fd, size);
        return;
    }
    send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
    clients[client_count++] = fd;
    position[fd] = client_count;
}

static void accept_all(int listener, int poller) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rlimit files;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    if (count != 2)
        return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_port = htons(atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        fail("bind");
    struct epoll_event events[1024], own = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &own);
    for (;;) {
        int ready = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener, poller);
            else
                read_from(events[i].data.fd);
        }
    }
}
