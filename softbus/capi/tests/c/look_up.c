/* Services of devices that are not found, or not to be had. */
#include "devices.h"

#include <hilog/log.h>
#include <sys/wait.h>

TEST(look_ups_that_fail_say_why)
{
    StartBoth();
    OHIPCRemoteProxy *proxy = NULL;
    /* Which of the two a device is told depends on whether a rule names it for the id; none does here. */
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, OTHER, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_REFUSED);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 99, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_REFUSED);
    /* On its own device it is told more. */
    CHECK_EQUAL(SoftBus_Service_Get(g_server.node, 99, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_ABSENT);
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_server.node, 99, NULL, 1, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK_EQUAL(SoftBus_Service_Get(g_server.node, OTHER, NULL, WAIT_MS, &proxy), SOFTBUS_OK);
    OH_IPCRemoteProxy_Destroy(proxy);
    CHECK_EQUAL(SoftBus_Service_Get(g_server.node, OTHER, g_server.id, WAIT_MS, &proxy), SOFTBUS_OK);
    OH_IPCRemoteProxy_Destroy(proxy);
    proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 0, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 0x01000000, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 7, "no id", WAIT_MS, &proxy), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 7, NULL, WAIT_MS, NULL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Get(NULL, 7, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_ARGUMENT);
    CHECK(proxy == NULL);
}

TEST(a_device_that_a_rule_names_is_told_more)
{
    StartBoth();
    OHIPCRemoteProxy *proxy = NULL;
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    /* Every trusted device was let in once, which is a rule for this id from then on. */
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 8, stub, SOFTBUS_DISTRIBUTED), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 8, stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 8, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_NOT_DISTRIBUTED);
    CHECK(strstr(SoftBus_LastError(), "not distributed") != NULL);
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_client.node, 8, g_server.id, 200, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK_EQUAL(SoftBus_Service_Remove(g_server.node, 8), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 8, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_ABSENT);
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_client.node, 8, g_server.id, 200, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK(proxy == NULL);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(devices_that_are_no_friends_or_not_there_are_told_apart)
{
    StartBoth();
    OHIPCRemoteProxy *proxy = NULL;
    char peers[200];
    snprintf(peers, sizeof(peers), "%s 127.0.0.1:%d\n", g_server.id, SoftBus_Node_GetPort(g_server.node));
    struct Device stranger;
    Start(&stranger, "stranger", peers);
    /* Neither trusts the other, then one of them does. */
    CHECK_EQUAL(SoftBus_Service_Get(stranger.node, 7, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_NOT_TRUSTED);
    CHECK_EQUAL(SoftBus_Node_Trust(stranger.node, g_server.id, NULL), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Get(stranger.node, 7, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_NOT_TRUSTED);
    CHECK(strstr(SoftBus_LastError(), "not trusted by the device") != NULL);
    CHECK_EQUAL(SoftBus_Service_WaitFor(stranger.node, 7, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_NOT_TRUSTED);
    /* The client knows no address of the stranger's. */
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 7, stranger.id, WAIT_MS, &proxy), SOFTBUS_ERR_NOT_TRUSTED);
    CHECK_EQUAL(SoftBus_Node_Trust(g_client.node, stranger.id, NULL), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 7, stranger.id, 300, &proxy), SOFTBUS_ERR_UNREACHABLE);
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_client.node, 7, stranger.id, 300, &proxy), SOFTBUS_ERR_UNREACHABLE);
    CHECK_EQUAL(SoftBus_Node_Forget(g_client.node, stranger.id), SOFTBUS_OK);
    CHECK(proxy == NULL);
    SoftBus_Node_Stop(stranger.node);
}

/** What a fork of this process is told, as its exit code: 0 for what it should be. */
static int UseInFork(void)
{
    OHIPCRemoteProxy *proxy = NULL;
    SoftBusNode *node = NULL;
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, SERVICE, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_FAILED);
    CHECK(strstr(SoftBus_LastError(), "fork") != NULL);
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_client.node, SERVICE, g_server.id, WAIT_MS, &proxy), SOFTBUS_ERR_FAILED);
    CHECK_EQUAL(SoftBus_Service_Add(g_client.node, 7, stub, SOFTBUS_LOCAL), SOFTBUS_ERR_FAILED);
    CHECK_EQUAL(SoftBus_Node_Attach("bus.sock", &node), SOFTBUS_ERR_FAILED);
    CHECK(proxy == NULL && node == NULL);
    return 0;
}

TEST(a_fork_has_no_devices)
{
    StartBoth();
    pid_t fork_of_us = fork();
    if (fork_of_us == 0) {
        _exit(UseInFork());
    }
    int status = -1;
    CHECK_EQUAL(waitpid(fork_of_us, &status, 0), fork_of_us);
    CHECK_EQUAL(status, 0);
    OH_IPCRemoteProxy_Destroy(Get());
}

int main(int argc, char **argv)
{
    OH_LOG_SetMinLogLevel(LOG_ERROR);
    return RunTests(argc, argv);
}
