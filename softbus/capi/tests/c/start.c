/* How child processes start and end, and what their parent is told of it. */
#include "client.h"

#include <signal.h>
#include <softbus/child.h>
#include <softbus/device.h>
#include <sys/socket.h>
#include <sys/wait.h>

TEST(a_child_that_cannot_be_started_is_reported)
{
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess(NULL, Started), NCP_ERR_INVALID_PARAM);
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess("", Started), NCP_ERR_INVALID_PARAM);
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess("libtest_child.so", NULL), NCP_ERR_INVALID_PARAM);
    const struct {
        const char *library;
        int error;
    } cases[] = {
        {"libthere_is_none.so", NCP_ERR_LIB_LOADING_FAILED},
        {"libchild_process.so", NCP_ERR_LIB_LOADING_FAILED},
        {"libtest_no_stub.so", NCP_ERR_CONNECTION_FAILED},
        {"libtest_gone_stub.so", NCP_ERR_CONNECTION_FAILED},
        {"libtest_crash.so", NCP_ERR_SERVICE_ERROR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        g_startError = 0;
        CHECK_EQUAL(OH_Ability_CreateNativeChildProcess(cases[i].library, Started), NCP_NO_ERROR);
        CHECK_EQUAL(g_startError, cases[i].error);
        CHECK(g_started == NULL);
    }
    OHIPCRemoteProxy *service = Start();
    int32_t error = 0;
    CHECK_EQUAL(Ask(service, SERVICE_START_CHILD, 0, &error), OH_IPC_SUCCESS);
    CHECK_EQUAL(error, NCP_ERR_ALREADY_IN_CHILD);
    OH_IPCRemoteProxy_Destroy(service);
}

/** What a fork of this process is told, as its exit code: 0 for what it should be. */
static int StartInFork(void)
{
    g_startError = -1;
    int result = OH_Ability_CreateNativeChildProcess("libtest_child.so", Started);
    SoftBusNode *node = NULL;
    SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = "fork", .listen = "127.0.0.1:0"};
    int node_error = SoftBus_Node_Start(&options, &node);
    OHIPCRemoteProxy *proxy = NULL;
    int accepted = SoftBus_Child_Accept(dup(0), 7, 20000, &proxy);
    int reported = SoftBus_Child_Report(dup(0), 7, OH_IPC_INNER_ERROR, NULL);
    fprintf(stderr, "in a fork: %d %d %d %d %d\n", result, g_startError, node_error, accepted, reported);
    return result == NCP_NO_ERROR && g_startError == NCP_ERR_INTERNAL && node_error == SOFTBUS_ERR_FAILED
            && accepted == OH_IPC_INNER_ERROR && reported == OH_IPC_INNER_ERROR
        ? 0
        : 1;
}

/** Its requests fail, and say why. */
static int AskInFork(OHIPCRemoteProxy *service)
{
    char *text = NULL;
    int32_t len = 0;
    CHECK_EQUAL(Ask(service, SERVICE_ECHO, 7, NULL), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "fork") != NULL);
    CHECK_EQUAL(Tell(service, SERVICE_ECHO, 7), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, &len, Allocate), OH_IPC_INNER_ERROR);
    CHECK(text == NULL);
    return 0;
}

TEST(a_fork_starts_and_calls_nothing)
{
    /* Only a process that has the bus has forks without it. */
    OHIPCRemoteProxy *service = Start();
    pid_t fork_of_us = fork();
    if (fork_of_us == 0) {
        _exit(StartInFork() + AskInFork(service));
    }
    int status = -1;
    CHECK_EQUAL(waitpid(fork_of_us, &status, 0), fork_of_us);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(Ask(service, SERVICE_ECHO, 7, NULL), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_child_ends_when_its_main_procedure_returns)
{
    struct Event died = EVENT;
    OHIPCRemoteProxy *service = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    /* The request that ends it is answered. */
    int32_t answer = 0;
    CHECK_EQUAL(Ask(service, SERVICE_END, 7, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 7);
    WaitFor(&died, 1);
    CHECK_EQUAL(Ask(service, SERVICE_ECHO, 7, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    OH_IPCRemoteProxy_Destroy(service);
    OH_IPCDeathRecipient_Destroy(recipient);
}

static struct Event g_end = EVENT;

static int EndsItself(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    if (code == SERVICE_END) {
        Happen(&g_end);
    }
    return Echo(code, data, reply, userData);
}

/** What this program is in a process that it has started itself. Its exit code is 0 if everything was as it should be. */
static int RunChild(int socket, pid_t parent, int error)
{
    if (error != 0) {
        CHECK_EQUAL(SoftBus_Child_Report(socket, parent, error, NULL), OH_IPC_SUCCESS);
        SoftBus_Child_Leave();
        return 0;
    }
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("own", EndsItself, NULL, NULL);
    CHECK_EQUAL(SoftBus_Child_Report(socket, parent, 0, stub), OH_IPC_SUCCESS);
    WaitFor(&g_end, 1);
    SoftBus_Child_Leave();
    SoftBus_Child_Leave();
    OHIPCRemoteProxy *proxy = ProxyOf(stub);
    CHECK_EQUAL(Ask(proxy, SERVICE_ECHO, 7, NULL), OH_IPC_INNER_ERROR);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCRemoteStub_Destroy(stub);
    return 0;
}

/** This program as a child of its own, which reports `error`, or a stub; one end of the socket is the parent's. */
static pid_t StartOwn(int error, int *socket)
{
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    char number[20], own[20], code[20];
    snprintf(number, sizeof(number), "%d", ends[1]);
    snprintf(own, sizeof(own), "%d", getpid());
    snprintf(code, sizeof(code), "%d", error);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        execl("/proc/self/exe", "tests", "child", number, own, code, NULL);
        _exit(2);
    }
    close(ends[1]);
    *socket = ends[0];
    return child;
}

static void EndsWell(pid_t child)
{
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

TEST(a_program_starts_children_in_its_own_way)
{
    int socket = -1;
    pid_t child = StartOwn(0, &socket);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Child_Accept(socket, child, 20000, &proxy), OH_IPC_SUCCESS);
    int32_t answer = 0;
    CHECK_EQUAL(Ask(proxy, SERVICE_ECHO, 7, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 8);
    CHECK_EQUAL(Ask(proxy, SERVICE_END, 7, NULL), OH_IPC_SUCCESS);
    EndsWell(child);
    OH_IPCRemoteProxy_Destroy(proxy);
}

TEST(a_child_reports_an_error_of_its_own)
{
    int socket = -1;
    pid_t child = StartOwn(77, &socket);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Child_Accept(socket, child, 20000, &proxy), 77);
    CHECK(strstr(SoftBus_LastError(), "77") != NULL);
    CHECK(proxy == NULL);
    EndsWell(child);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "child") == 0) {
        return RunChild(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    }
    return RunTests(argc, argv);
}
