/* Death recipients: rows 22 to 24. The service is service.c, in a child process. */
#include "client.h"

TEST(a_death_recipient_is_told_once)
{
    struct Event died = EVENT;
    struct Event destroyed = EVENT;
    struct Event both = EVENT;
    CHECK(OH_IPCDeathRecipient_Create(NULL, Destroyed, &destroyed) == NULL);
    OHIPCRemoteProxy *service = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    OHIPCDeathRecipient *twice = OH_IPCDeathRecipient_Create(Died, Destroyed, &both);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, twice), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, twice), OH_IPC_SUCCESS);
    /* A registration outlives the handle it was made with. */
    OH_IPCDeathRecipient_Destroy(twice);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, twice), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, twice), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(Ask(service, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&died, 1);
    /* Both registrations, and then the recipient is gone. */
    WaitFor(&both, 3);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, recipient), OH_IPC_INNER_ERROR);
    OH_IPCRemoteProxy_Destroy(service);
    OH_IPCDeathRecipient_Destroy(recipient);
    CHECK_EQUAL(CountOf(&died), 1);
    CHECK_EQUAL(CountOf(&both), 3);
}

TEST(a_death_recipient_that_was_removed_is_not_told)
{
    struct Event died = EVENT;
    struct Event other = EVENT;
    OHIPCRemoteProxy *service = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, Destroyed, &died);
    OHIPCDeathRecipient *stays = OH_IPCDeathRecipient_Create(Died, NULL, &other);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, recipient), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, stays), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, recipient), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(NULL, recipient), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(NULL, recipient), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(service, NULL), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCDeathRecipient_Destroy(recipient);
    CHECK_EQUAL(CountOf(&died), 1);
    OH_IPCDeathRecipient_Destroy(recipient);
    OH_IPCDeathRecipient_Destroy(NULL);
    CHECK_EQUAL(Ask(service, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&other, 1);
    CHECK_EQUAL(CountOf(&died), 1);
    OH_IPCRemoteProxy_Destroy(service);
    OH_IPCDeathRecipient_Destroy(stays);
}

TEST(a_proxy_that_is_destroyed_tells_nobody)
{
    struct Event died = EVENT;
    OHIPCRemoteProxy *service = Start();
    OHIPCRemoteProxy *killer = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(killer, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(Tell(service, SERVICE_CRASH, 0), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(service);
    int told = CountOf(&died);
    CHECK_EQUAL(Ask(killer, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&died, told + 1);
    OH_IPCRemoteProxy_Destroy(killer);
    OH_IPCDeathRecipient_Destroy(recipient);
    CHECK_EQUAL(CountOf(&died), told + 1);
}

static OHIPCRemoteProxy *g_dying;
static OHIPCDeathRecipient *g_recipient;

static void DiedAndDestroys(void *userData)
{
    OH_IPCRemoteProxy_RemoveDeathRecipient(g_dying, g_recipient);
    OH_IPCRemoteProxy_Destroy(g_dying);
    OH_IPCDeathRecipient_Destroy(g_recipient);
    Happen(userData);
}

TEST(a_death_recipient_may_destroy_itself_and_its_proxy)
{
    struct Event died = EVENT;
    g_dying = Start();
    g_recipient = OH_IPCDeathRecipient_Create(DiedAndDestroys, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(g_dying, g_recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(g_dying, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&died, 1);
}

struct Slow {
    struct Event begun;
    struct Event goOn;
    int ended;
};

static void DiesSlowly(void *userData)
{
    struct Slow *slow = userData;
    Happen(&slow->begun);
    WaitFor(&slow->goOn, 1);
    usleep(20000);
    slow->ended = 1;
}

TEST(a_recipient_that_is_destroyed_has_ended)
{
    struct Slow slow = {EVENT, EVENT, 0};
    OHIPCRemoteProxy *service = Start();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(DiesSlowly, NULL, &slow);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(service, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(service, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&slow.begun, 1);
    Happen(&slow.goOn);
    OH_IPCRemoteProxy_Destroy(service);
    CHECK_EQUAL(slow.ended, 1);
    OH_IPCDeathRecipient_Destroy(recipient);
}

TEST(a_stub_of_this_process_is_not_watched)
{
    struct Event died = EVENT;
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Echo, NULL, NULL);
    OHIPCRemoteProxy *proxy = ProxyOf(stub);
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(proxy, recipient), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(proxy), 0);
    int32_t answer = 0;
    CHECK_EQUAL(Ask(proxy, 1, 5, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 6);
    OH_IPCDeathRecipient_Destroy(recipient);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCRemoteStub_Destroy(stub);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
