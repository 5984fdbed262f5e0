/* Every function that takes a handle, with NULL, with one that was destroyed, and with one of another kind: an error, with
 * words for it, and nothing else. headers.rs looks whether one is forgotten. */
#include "client.h"

#include <softbus/child.h>
#include <softbus/device.h>

/** One handle of each kind that is none. */
struct Invalid {
    OHIPCParcel *parcel;
    OHIPCRemoteStub *stub;
    OHIPCRemoteProxy *proxy;
    OHIPCDeathRecipient *recipient;
    SoftBusNode *node;
};

/** Valid ones, for the other arguments. */
static OHIPCParcel *g_parcel;
static OHIPCRemoteStub *g_stub;
static OHIPCRemoteProxy *g_proxy;
static OHIPCDeathRecipient *g_recipient;

/** Makes sure that the words are those of what comes next. */
static void Forget(void)
{
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(g_parcel, UINT32_MAX), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "4294967295") != NULL);
}

#define FAILS(call, expected)                                         \
    do {                                                              \
        Forget();                                                     \
        CHECK_EQUAL(call, expected);                                  \
        CHECK(strlen(SoftBus_LastError()) > 0);                       \
        CHECK(strstr(SoftBus_LastError(), "4294967295") == NULL);     \
    } while (0)
#define REFUSES(call) FAILS(call, OH_IPC_CHECK_PARAM_ERROR)
#define IS_NULL(call) FAILS((intptr_t)(call), 0)

#define REFUSES_NUMBERS(type, Kind)                                   \
    do {                                                              \
        type value = 0;                                               \
        REFUSES(OH_IPCParcel_Write##Kind(invalid->parcel, 1));        \
        REFUSES(OH_IPCParcel_Read##Kind(invalid->parcel, &value));    \
    } while (0)

static void Numbers(const struct Invalid *invalid)
{
    REFUSES_NUMBERS(int8_t, Int8);
    REFUSES_NUMBERS(int16_t, Int16);
    REFUSES_NUMBERS(int32_t, Int32);
    REFUSES_NUMBERS(int64_t, Int64);
    REFUSES_NUMBERS(uint8_t, Uint8);
    REFUSES_NUMBERS(uint16_t, Uint16);
    REFUSES_NUMBERS(uint32_t, Uint32);
    REFUSES_NUMBERS(uint64_t, Uint64);
    REFUSES_NUMBERS(float, Float);
    REFUSES_NUMBERS(double, Double);
}

static void Parcels(const struct Invalid *invalid)
{
    OHIPCParcel *parcel = invalid->parcel;
    char *text = NULL;
    int32_t len = 0, fd = -1;
    OH_IPCParcel_Destroy(parcel);
    FAILS(OH_IPCParcel_GetDataSize(parcel), -1);
    FAILS(OH_IPCParcel_GetWritableBytes(parcel), -1);
    FAILS(OH_IPCParcel_GetReadableBytes(parcel), -1);
    FAILS(OH_IPCParcel_GetReadPosition(parcel), -1);
    FAILS(OH_IPCParcel_GetWritePosition(parcel), -1);
    REFUSES(OH_IPCParcel_RewindReadPosition(parcel, 0));
    REFUSES(OH_IPCParcel_RewindWritePosition(parcel, 0));
    REFUSES(OH_IPCParcel_WriteString(parcel, "a"));
    IS_NULL(OH_IPCParcel_ReadString(parcel));
    REFUSES(OH_IPCParcel_WriteBuffer(parcel, (const uint8_t *)"a", 1));
    IS_NULL(OH_IPCParcel_ReadBuffer(parcel, 1));
    REFUSES(OH_IPCParcel_WriteRemoteStub(parcel, g_stub));
    REFUSES(OH_IPCParcel_WriteRemoteStub(g_parcel, invalid->stub));
    IS_NULL(OH_IPCParcel_ReadRemoteStub(parcel));
    REFUSES(OH_IPCParcel_WriteRemoteProxy(parcel, g_proxy));
    REFUSES(OH_IPCParcel_WriteRemoteProxy(g_parcel, invalid->proxy));
    IS_NULL(OH_IPCParcel_ReadRemoteProxy(parcel));
    REFUSES(OH_IPCParcel_WriteFileDescriptor(parcel, 0));
    REFUSES(OH_IPCParcel_ReadFileDescriptor(parcel, &fd));
    REFUSES(OH_IPCParcel_Append(parcel, g_parcel));
    REFUSES(OH_IPCParcel_Append(g_parcel, parcel));
    REFUSES(OH_IPCParcel_WriteInterfaceToken(parcel, "a"));
    REFUSES(OH_IPCParcel_ReadInterfaceToken(parcel, &text, &len, Allocate));
}

static void Objects(const struct Invalid *invalid)
{
    OHIPCRemoteProxy *proxy = invalid->proxy;
    OHIPCDeathRecipient *recipient = invalid->recipient;
    char *text = NULL;
    int32_t len = 0;
    OH_IPCRemoteStub_Destroy(invalid->stub);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCDeathRecipient_Destroy(recipient);
    REFUSES(OH_IPCRemoteProxy_SendRequest(proxy, 1, g_parcel, g_parcel, NULL));
    REFUSES(OH_IPCRemoteProxy_SendRequest(g_proxy, 1, invalid->parcel, g_parcel, NULL));
    REFUSES(OH_IPCRemoteProxy_SendRequest(g_proxy, 1, g_parcel, invalid->parcel, NULL));
    FAILS(OH_IPCRemoteProxy_SendRequest(g_proxy, 0, g_parcel, g_parcel, NULL), OH_IPC_CODE_OUT_OF_RANGE);
    REFUSES(OH_IPCRemoteProxy_GetInterfaceDescriptor(proxy, &text, &len, Allocate));
    REFUSES(OH_IPCRemoteProxy_AddDeathRecipient(proxy, g_recipient));
    REFUSES(OH_IPCRemoteProxy_AddDeathRecipient(g_proxy, recipient));
    REFUSES(OH_IPCRemoteProxy_RemoveDeathRecipient(proxy, g_recipient));
    REFUSES(OH_IPCRemoteProxy_RemoveDeathRecipient(g_proxy, recipient));
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(proxy), 1);
    REFUSES(SoftBus_Child_Report(-1, 7, 0, invalid->stub));
}

static void Nodes(const struct Invalid *invalid)
{
    SoftBusNode *node = invalid->node;
    const char *device = "no matter";
    char id[SOFTBUS_DEVICE_ID_SIZE];
    OHIPCRemoteProxy *proxy = NULL;
    SoftBus_Node_Stop(node);
    CHECK_EQUAL(SoftBus_Node_GetPort(node), 0);
    FAILS(SoftBus_Node_GetDeviceId(node, id, sizeof(id)), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Node_Trust(node, device, NULL), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Node_Forget(node, device), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Node_LoadTrust(node, "trust.txt"), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Service_Add(node, 7, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Service_Remove(node, 7), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Service_Get(node, 7, NULL, 1, &proxy), SOFTBUS_ERR_ARGUMENT);
    FAILS(SoftBus_Service_WaitFor(node, 7, NULL, 1, &proxy), SOFTBUS_ERR_ARGUMENT);
    CHECK(proxy == NULL);
}

static void All(const struct Invalid *invalid)
{
    Numbers(invalid);
    Parcels(invalid);
    Objects(invalid);
    Nodes(invalid);
}

static SoftBusNode *NewNode(void)
{
    SoftBusNode *node = NULL;
    SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = "invalid", .listen = "127.0.0.1:0"};
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_OK);
    return node;
}

TEST(no_function_takes_what_is_no_handle)
{
    g_parcel = OH_IPCParcel_Create();
    g_stub = OH_IPCRemoteStub_Create("a", Echo, NULL, NULL);
    g_proxy = ProxyOf(g_stub);
    g_recipient = OH_IPCDeathRecipient_Create(Died, NULL, NULL);
    SoftBusNode *node = NewNode();
    const struct Invalid null = {NULL, NULL, NULL, NULL, NULL};
    All(&null);
    const struct Invalid others = {(OHIPCParcel *)g_stub, (OHIPCRemoteStub *)g_proxy, (OHIPCRemoteProxy *)g_recipient,
        (OHIPCDeathRecipient *)node, (SoftBusNode *)g_parcel};
    All(&others);
    const struct Invalid destroyed = {OH_IPCParcel_Create(), OH_IPCRemoteStub_Create("b", Echo, NULL, NULL),
        ProxyOf(g_stub), OH_IPCDeathRecipient_Create(Died, NULL, NULL), node};
    OH_IPCParcel_Destroy(destroyed.parcel);
    OH_IPCRemoteStub_Destroy(destroyed.stub);
    OH_IPCRemoteProxy_Destroy(destroyed.proxy);
    OH_IPCDeathRecipient_Destroy(destroyed.recipient);
    SoftBus_Node_Stop(destroyed.node);
    All(&destroyed);
    /* Nothing has happened to those that are. */
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(g_parcel), 0);
    CHECK_EQUAL(SoftBus_HandleCount(), 4);
    OH_IPCParcel_Destroy(g_parcel);
    OH_IPCRemoteProxy_Destroy(g_proxy);
    OH_IPCRemoteStub_Destroy(g_stub);
    OH_IPCDeathRecipient_Destroy(g_recipient);
    CHECK_EQUAL(SoftBus_HandleCount(), 0);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
