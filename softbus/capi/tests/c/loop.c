/* 10,000 calls with everything a program makes and destroys for each: run under a tool that finds what is lost. */
#include "client.h"

#include <softbus/device.h>

enum { CALLS = 10000 };

static OHIPCRemoteProxy *g_service;

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code;
    int32_t value = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(data, &value), OH_IPC_SUCCESS);
    Happen(userData);
    return OH_IPCParcel_WriteInt32(reply, value);
}

/** How many handles the child has, those of this request included. */
static int32_t HandlesOfChild(void)
{
    int32_t handles = 0;
    CHECK_EQUAL(Ask(g_service, SERVICE_HANDLES, 0, &handles), OH_IPC_SUCCESS);
    return handles;
}

static void Call(int32_t number, struct Event *answered)
{
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    int32_t value = -1;
    if (number % 10 == 0) {
        /* Called back, by a stub that lives as long as this. */
        OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("loop", Answer, NULL, answered);
        CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(data, stub), OH_IPC_SUCCESS);
        CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, number), OH_IPC_SUCCESS);
        CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(g_service, SERVICE_CALL_BACK, data, reply, NULL), OH_IPC_SUCCESS);
        OH_IPCRemoteStub_Destroy(stub);
    } else {
        CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, number), OH_IPC_SUCCESS);
        CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(g_service, SERVICE_ECHO, data, reply, NULL), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(value, number);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
}

TEST(ten_thousand_calls_lose_nothing)
{
    struct Event answered = EVENT;
    struct Event died = EVENT;
    g_service = Start();
    int32_t handles = HandlesOfChild();
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(g_service, recipient), OH_IPC_SUCCESS);
    for (int32_t i = 0; i < CALLS; i++) {
        Call(i, &answered);
    }
    CHECK_EQUAL(CountOf(&answered), CALLS / 10);
    CHECK_EQUAL(HandlesOfChild(), handles);
    /* By its own end, so that the tool looks at what it has lost. */
    CHECK_EQUAL(Ask(g_service, SERVICE_END, 0, NULL), OH_IPC_SUCCESS);
    WaitFor(&died, 1);
    OH_IPCRemoteProxy_Destroy(g_service);
    OH_IPCDeathRecipient_Destroy(recipient);
    CHECK_EQUAL(SoftBus_HandleCount(), 0);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
