/* What programs that call service.c, in a child process, have in common. */
#ifndef SOFTBUS_TEST_CLIENT_H
#define SOFTBUS_TEST_CLIENT_H

#include "service.h"
#include "test.h"

#include <AbilityKit/native_child_process.h>
#include <unistd.h>

static OHIPCRemoteProxy *g_started;
static int g_startError;

static inline void Started(int error, OHIPCRemoteProxy *proxy)
{
    g_startError = error;
    g_started = proxy;
}

/** A service, in a new child. */
static inline OHIPCRemoteProxy *StartLibrary(const char *library)
{
    g_started = NULL;
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess(library, Started), NCP_NO_ERROR);
    CHECK_EQUAL(g_startError, NCP_NO_ERROR);
    CHECK(g_started != NULL);
    return g_started;
}

static inline OHIPCRemoteProxy *Start(void)
{
    return StartLibrary("libtest_child.so");
}

/** Sends one number; the first number of the reply goes to `answer`. */
static inline int Ask(OHIPCRemoteProxy *proxy, uint32_t code, int32_t value, int32_t *answer)
{
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, value), OH_IPC_SUCCESS);
    int result = OH_IPCRemoteProxy_SendRequest(proxy, code, data, reply, NULL);
    if (result == OH_IPC_SUCCESS && answer != NULL) {
        CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, answer), OH_IPC_SUCCESS);
    }
    if (result != OH_IPC_SUCCESS) {
        CHECK_EQUAL(OH_IPCParcel_GetDataSize(reply), 0);
    }
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    return result;
}

/** Sends an object. */
static inline int Send(OHIPCRemoteProxy *proxy, uint32_t code, OHIPCRemoteStub *stub, OHIPCParcel *reply)
{
    OHIPCParcel *data = OH_IPCParcel_Create();
    if (stub != NULL) {
        CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(data, stub), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 55), OH_IPC_SUCCESS);
    int result = OH_IPCRemoteProxy_SendRequest(proxy, code, data, reply, NULL);
    OH_IPCParcel_Destroy(data);
    return result;
}

/** Sends a request that nobody waits for. */
static inline int Tell(OHIPCRemoteProxy *proxy, uint32_t code, int32_t value)
{
    OHIPCParcel *data = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, value), OH_IPC_SUCCESS);
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_ASYNC, 0, NULL};
    int result = OH_IPCRemoteProxy_SendRequest(proxy, code, data, NULL, &option);
    OH_IPCParcel_Destroy(data);
    return result;
}

static inline void Died(void *userData)
{
    Happen(userData);
}

static inline void Destroyed(void *userData)
{
    Happen(userData);
}

static inline int Echo(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)userData;
    int32_t value = 0;
    if (OH_IPCParcel_ReadInt32(data, &value) != OH_IPC_SUCCESS) {
        return OH_IPC_PARCEL_READ_ERROR;
    }
    return OH_IPCParcel_WriteInt32(reply, value + 1);
}

/** A proxy of a stub of this process. */
static inline OHIPCRemoteProxy *ProxyOf(OHIPCRemoteStub *stub)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(parcel);
    CHECK(proxy != NULL);
    OH_IPCParcel_Destroy(parcel);
    return proxy;
}

#endif
