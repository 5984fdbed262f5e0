/* What a parent may do with what its children offer, and what it is told where that is not enough. Children run service.c. */
#include "client.h"

#include <hilog/log.h>
#include <signal.h>
#include <softbus/child.h>
#include <softbus/device.h>
#include <sys/socket.h>

enum { MAX_CHILDREN = 50, RECIPIENTS = 64 };

/** Hands an object of one child to somebody, with a request that would keep it. */
static int Hand(OHIPCRemoteProxy *to, OHIPCRemoteProxy *object)
{
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(data, object), OH_IPC_SUCCESS);
    int result = OH_IPCRemoteProxy_SendRequest(to, SERVICE_KEEP, data, reply, NULL);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    return result;
}

TEST(an_object_of_a_child_is_not_handed_on)
{
    OHIPCRemoteProxy *one = Start(), *another = Start();
    /* Back to where it is, but not to another child, which has no way to it. */
    CHECK_EQUAL(Hand(one, one), OH_IPC_SUCCESS);
    CHECK_EQUAL(Hand(another, one), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "third party") != NULL);
    CHECK_EQUAL(Ask(one, SERVICE_ECHO, 7, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(another, SERVICE_ECHO, 7, NULL), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(one);
    OH_IPCRemoteProxy_Destroy(another);
}

static int Take(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)reply;
    Happen(userData);
    return OH_IPC_SUCCESS;
}

TEST(an_object_of_a_child_is_not_handed_to_another_device)
{
    static struct Event taken = EVENT;
    SoftBusNode *server = NULL, *client = NULL;
    char server_id[SOFTBUS_DEVICE_ID_SIZE], client_id[SOFTBUS_DEVICE_ID_SIZE], peers[200];
    SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = "server", .listen = "127.0.0.1:0"};
    CHECK_EQUAL(SoftBus_Node_Start(&options, &server), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(server, server_id, sizeof(server_id)), SOFTBUS_OK);
    snprintf(peers, sizeof(peers), "%s 127.0.0.1:%d\n", server_id, SoftBus_Node_GetPort(server));
    options.identityDirectory = "client";
    options.peers = peers;
    CHECK_EQUAL(SoftBus_Node_Start(&options, &client), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(client, client_id, sizeof(client_id)), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(client, server_id, NULL), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(server, client_id, NULL), SOFTBUS_OK);
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("taker", Take, NULL, &taken);
    CHECK_EQUAL(SoftBus_Service_Add(server, 1401, stub, SOFTBUS_DISTRIBUTED), SOFTBUS_OK);
    OHIPCRemoteProxy *service = NULL, *child = Start();
    CHECK_EQUAL(SoftBus_Service_WaitFor(client, 1401, server_id, 20000, &service), SOFTBUS_OK);
    CHECK_EQUAL(Hand(service, child), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "third party") != NULL);
    /* Nor to a process of its own device by way of the node: that is another bus. */
    CHECK_EQUAL(CountOf(&taken), 0);
    CHECK_EQUAL(Ask(child, SERVICE_ECHO, 7, NULL), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(child);
    OH_IPCRemoteProxy_Destroy(service);
    OH_IPCRemoteStub_Destroy(stub);
    SoftBus_Node_Stop(client);
    SoftBus_Node_Stop(server);
}

TEST(an_object_has_64_death_recipients)
{
    OHIPCRemoteProxy *child = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, NULL);
    for (int i = 0; i < RECIPIENTS; i++) {
        CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(child, recipient), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(child, recipient), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "64") != NULL);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(child, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(child, recipient), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(child);
    OH_IPCDeathRecipient_Destroy(recipient);
}

TEST(a_process_has_50_children)
{
    OHIPCRemoteProxy *children[MAX_CHILDREN];
    int started = 0;
    int result = NCP_NO_ERROR;
    while (started < MAX_CHILDREN) {
        result = OH_Ability_CreateNativeChildProcess("libtest_child.so", Started);
        if (result != NCP_NO_ERROR) {
            break;
        }
        CHECK_EQUAL(g_startError, NCP_NO_ERROR);
        children[started++] = g_started;
    }
    /* Those of the tests before have their places as long as this process lives. */
    CHECK(started > MAX_CHILDREN / 2);
    g_startError = -1;
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess("libtest_child.so", Started), NCP_ERR_MAX_CHILD_PROCESSES_REACHED);
    CHECK_EQUAL(g_startError, -1);
    for (int i = 0; i < started; i++) {
        OH_IPCRemoteProxy_Destroy(children[i]);
    }
}

TEST(without_the_program_of_children_none_is_started)
{
    CHECK(setenv("SOFTBUS_CHILD", "/there/is/none", 1) == 0);
    g_startError = -1;
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess("libtest_child.so", Started), NCP_ERR_NOT_SUPPORTED);
    CHECK_EQUAL(g_startError, -1);
    unsetenv("SOFTBUS_CHILD");
}

/** One end of a socket pair whose other end is closed. */
static int Alone(void)
{
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    close(ends[1]);
    return ends[0];
}

/** So that the words are those of what comes next. */
static void Forget(void)
{
    CHECK_EQUAL(SoftBus_Child_Accept(-1, 7, 100, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK(strstr(SoftBus_LastError(), "argument") != NULL);
}

static bool HasWords(void)
{
    return strlen(SoftBus_LastError()) > 0 && strstr(SoftBus_LastError(), "argument") == NULL;
}

TEST(children_are_accepted_with_what_that_needs)
{
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Child_Accept(-1, 7, 100, &proxy), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(SoftBus_Child_Accept(Alone(), 0, 100, &proxy), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(SoftBus_Child_Accept(Alone(), 7, 100, NULL), OH_IPC_CHECK_PARAM_ERROR);
    Forget();
    CHECK_EQUAL(SoftBus_Child_Accept(Alone(), 7, 20000, &proxy), OH_IPC_DEAD_REMOTE_OBJECT);
    CHECK(HasWords());
    /* One that is there and says nothing is waited for, and then no more. */
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    Forget();
    CHECK_EQUAL(SoftBus_Child_Accept(ends[0], 7, 100, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK(HasWords());
    close(ends[1]);
    CHECK(proxy == NULL);
}

TEST(a_child_reports_with_what_that_needs)
{
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Take, NULL, NULL);
    CHECK_EQUAL(SoftBus_Child_Report(-1, 7, 0, stub), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(SoftBus_Child_Report(Alone(), 0, 0, stub), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(SoftBus_Child_Report(Alone(), 7, 0, NULL), OH_IPC_CHECK_PARAM_ERROR);
    Forget();
    CHECK_EQUAL(SoftBus_Child_Report(Alone(), 7, 0, stub), OH_IPC_DEAD_REMOTE_OBJECT);
    CHECK(HasWords());
    /* Of a parent that is there and says nothing. */
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    Forget();
    CHECK_EQUAL(SoftBus_Child_Report(ends[0], 7, 0, stub), OH_IPC_INNER_ERROR);
    CHECK(HasWords());
    close(ends[1]);
    OH_IPCRemoteStub_Destroy(stub);
}

int main(int argc, char **argv)
{
    OH_LOG_SetMinLogLevel(LOG_ERROR);
    return RunTests(argc, argv);
}
