/* Two nodes of this process, which are two devices on loopback. */
#ifndef SOFTBUS_TEST_DEVICES_H
#define SOFTBUS_TEST_DEVICES_H

#include "service.h"
#include "test.h"

#include <softbus/device.h>
#include <unistd.h>

enum { SERVICE = 1401, OTHER = 1402, WAIT_MS = 20000 };

struct Device {
    SoftBusNode *node;
    char id[SOFTBUS_DEVICE_ID_SIZE];
};

static struct Device g_server, g_client;
static struct Event g_end = EVENT;

static inline int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)userData;
    int32_t value = 0;
    switch (code) {
        case SERVICE_ECHO:
            if (OH_IPCParcel_ReadInt32(data, &value) != OH_IPC_SUCCESS) {
                return OH_IPC_PARCEL_READ_ERROR;
            }
            return OH_IPCParcel_WriteInt32(reply, value);
        case SERVICE_SLEEP:
            WaitFor(&g_end, 1);
            return OH_IPC_SUCCESS;
        case SERVICE_WHO:
            OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingPid());
            OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingUid());
            OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingTokenId());
            return OH_IPCParcel_WriteInt32(reply, OH_IPCSkeleton_IsLocalCalling());
        case SERVICE_ANOTHER: {
            OHIPCRemoteStub *another = OH_IPCRemoteStub_Create("another", Answer, NULL, NULL);
            int result = OH_IPCParcel_WriteRemoteStub(reply, another);
            OH_IPCRemoteStub_Destroy(another);
            return result;
        }
        case SERVICE_IDENTITY: {
            /* A caller of another device is made this process, and itself again. */
            char *text = NULL;
            int32_t len = 0;
            CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, Allocate), OH_IPC_SUCCESS);
            CHECK_EQUAL(OH_IPCSkeleton_IsLocalCalling(), 1);
            CHECK_EQUAL(OH_IPCSkeleton_GetCallingPid(), getpid());
            CHECK_EQUAL(OH_IPCSkeleton_SetCallingIdentity(text), OH_IPC_SUCCESS);
            free(text);
            return OH_IPCParcel_WriteInt32(reply, OH_IPCSkeleton_IsLocalCalling());
        }
        default:
            return OH_IPC_SUCCESS;
    }
}

static inline void Start(struct Device *device, const char *directory, const char *peers)
{
    SoftBus_NodeOptions options = {
        .size = sizeof(options), .identityDirectory = directory, .listen = "127.0.0.1:0", .peers = peers};
    CHECK_EQUAL(SoftBus_Node_Start(&options, &device->node), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(device->node, device->id, sizeof(device->id)), SOFTBUS_OK);
}

/** Both devices, once for all tests. */
static inline void StartBoth(void)
{
    if (g_client.node != NULL) {
        return;
    }
    Start(&g_server, "server", NULL);
    CHECK(SoftBus_Node_GetPort(g_server.node) != 0);
    char peers[200];
    snprintf(peers, sizeof(peers), "%s 127.0.0.1:%d\n", g_server.id, SoftBus_Node_GetPort(g_server.node));
    Start(&g_client, "client", peers);
    CHECK_EQUAL(SoftBus_Node_Trust(g_client.node, g_server.id, "server"), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(g_server.node, g_client.id, NULL), SOFTBUS_OK);
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, SERVICE, stub, SOFTBUS_DISTRIBUTED), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, OTHER, stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    OH_IPCRemoteStub_Destroy(stub);
}

static inline OHIPCRemoteProxy *Get(void)
{
    StartBoth();
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_WaitFor(g_client.node, SERVICE, g_server.id, WAIT_MS, &proxy), SOFTBUS_OK);
    CHECK(proxy != NULL);
    return proxy;
}

#endif
