/* Callbacks that use what the call that runs them is about. Each test would stand still for ever if a callback ran while
 * something of the library's is locked. */
#include "client.h"

static OHIPCParcel *g_reply;
static OHIPCRemoteStub *g_carried;
static OHIPCRemoteProxy *g_foreign;

/** Makes more parcels than there are places that were used before. */
static void MakesParcels(void *userData)
{
    OHIPCParcel *parcels[16];
    for (int i = 0; i < 16; i++) {
        parcels[i] = OH_IPCParcel_Create();
    }
    for (int i = 0; i < 16; i++) {
        OH_IPCParcel_Destroy(parcels[i]);
    }
    Happen(userData);
}

static void LooksAtTheReply(void *userData)
{
    OH_IPCParcel_GetDataSize(g_reply);
    Happen(userData);
}

/** Answers with the last reference to an object, and with what its caller must not have, if there is that. */
static int GivesTheLast(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)data, (void)userData;
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(reply, g_carried), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(g_carried);
    if (g_foreign != NULL) {
        CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(reply, g_foreign), OH_IPC_SUCCESS);
    }
    if (code == SERVICE_LAST) {
        OH_IPCParcel_Destroy(g_reply);
    }
    return OH_IPC_SUCCESS;
}

/** Sends a request on a thread of its own, which need not come back. */
struct Request {
    OHIPCRemoteProxy *proxy;
    uint32_t code;
    OHIPCParcel *reply;
    int result;
    struct Event done;
};

static void *Run(void *argument)
{
    struct Request *request = argument;
    OHIPCParcel *data = OH_IPCParcel_Create();
    request->result = OH_IPCRemoteProxy_SendRequest(request->proxy, request->code, data, request->reply, NULL);
    OH_IPCParcel_Destroy(data);
    Happen(&request->done);
    return NULL;
}

static int SendAside(struct Request *request)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, Run, request) == 0);
    WaitFor(&request->done, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    return request->result;
}

TEST(a_reply_that_is_destroyed_meanwhile_takes_its_objects_with_it)
{
    struct Event destroyed = EVENT;
    g_foreign = NULL;
    g_reply = OH_IPCParcel_Create();
    g_carried = OH_IPCRemoteStub_Create("carried", Echo, MakesParcels, &destroyed);
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("gives", GivesTheLast, NULL, NULL);
    struct Request request = {ProxyOf(stub), SERVICE_LAST, g_reply, 0, EVENT};
    CHECK_EQUAL(SendAside(&request), OH_IPC_CHECK_PARAM_ERROR);
    WaitFor(&destroyed, 1);
    OH_IPCRemoteProxy_Destroy(request.proxy);
    OH_IPCRemoteStub_Destroy(stub);
}

static OHIPCRemoteProxy *g_gives;

/** Asks for an answer that its own caller must not have. */
static int PassesOn(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)userData;
    g_reply = reply;
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(reply, 7), OH_IPC_SUCCESS);
    struct Request request = {g_gives, 1, reply, 0, EVENT};
    CHECK_EQUAL(SendAside(&request), OH_IPC_INNER_ERROR);
    /* What was there is there. */
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(reply), 4);
    return OH_IPC_SUCCESS;
}

TEST(an_answer_that_may_not_be_passed_on_changes_nothing)
{
    struct Event destroyed = EVENT;
    OHIPCRemoteProxy *service = Start();
    g_foreign = Start();
    g_carried = OH_IPCRemoteStub_Create("carried", Echo, LooksAtTheReply, &destroyed);
    OHIPCRemoteStub *gives = OH_IPCRemoteStub_Create("gives", GivesTheLast, NULL, NULL);
    OHIPCRemoteStub *passes = OH_IPCRemoteStub_Create("passes", PassesOn, NULL, NULL);
    g_gives = ProxyOf(gives);
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(Send(service, SERVICE_CALL_BACK, passes, reply), OH_IPC_SUCCESS);
    int32_t value = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(value, 7);
    WaitFor(&destroyed, 1);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteStub_Destroy(passes);
    OH_IPCRemoteStub_Destroy(gives);
    OH_IPCRemoteProxy_Destroy(g_gives);
    OH_IPCRemoteProxy_Destroy(g_foreign);
    OH_IPCRemoteProxy_Destroy(service);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
