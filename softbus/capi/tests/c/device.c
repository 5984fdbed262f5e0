/* Devices: softbus/device.h, and row 27. look_up.c has what is not found, attached.c and refused.c have nodes that attach. */
#include "devices.h"

#include <hilog/log.h>
#include <sys/stat.h>

static int64_t Milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

TEST(a_service_of_another_device_is_called)
{
    OHIPCRemoteProxy *proxy = Get();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 42), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_ECHO, data, reply, NULL), OH_IPC_SUCCESS);
    int32_t value = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(value, 42);
    /* Descriptors stay on their device. */
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(data, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_ECHO, data, reply, NULL), OH_IPC_INNER_ERROR);
    CHECK(strlen(SoftBus_LastError()) > 0);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
}

TEST(the_time_out_of_a_request_to_another_device_is_kept_to)
{
    OHIPCRemoteProxy *proxy = Get();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_SYNC, 1, NULL};
    int64_t begun = Milliseconds();
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_SLEEP, data, reply, &option), OH_IPC_INNER_ERROR);
    int64_t took = Milliseconds() - begun;
    /* Well before the 8 s that it would be otherwise. */
    CHECK(took >= 1000 && took < 7000);
    CHECK(strstr(SoftBus_LastError(), "timed out") != NULL);
    /* The proxy is as good as before. */
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(proxy), 0);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_LAST, data, reply, &option), OH_IPC_SUCCESS);
    Happen(&g_end);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
}

TEST(a_caller_of_another_device_has_no_process)
{
    OHIPCRemoteProxy *proxy = Get();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_WHO, data, reply, NULL), OH_IPC_SUCCESS);
    uint64_t pid, uid, token;
    int32_t local = 77;
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &pid), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &uid), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &token), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &local), OH_IPC_SUCCESS);
    CHECK_EQUAL(pid, UINT64_MAX);
    CHECK_EQUAL(uid, UINT64_MAX);
    CHECK_EQUAL(token, 0);
    CHECK_EQUAL(local, 0);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_IDENTITY, data, reply, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &local), OH_IPC_SUCCESS);
    CHECK_EQUAL(local, 0);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
}

static void Died(void *userData)
{
    Happen(userData);
}

TEST(a_service_that_is_removed_is_dead)
{
    StartBoth();
    struct Event died = EVENT;
    OHIPCRemoteProxy *proxy = NULL;
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 7, stub, SOFTBUS_DISTRIBUTED), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Get(g_client.node, 7, g_server.id, WAIT_MS, &proxy), SOFTBUS_OK);
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, &died);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(proxy, recipient), OH_IPC_SUCCESS);
    CHECK_EQUAL(SoftBus_Service_Remove(g_server.node, 7), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Service_Remove(g_server.node, 7), SOFTBUS_ERR_ABSENT);
    WaitFor(&died, 1);
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(proxy), 1);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCDeathRecipient_Destroy(recipient);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(what_is_no_service_of_another_device_is_not_watched)
{
    OHIPCRemoteProxy *proxy = Get();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_ANOTHER, data, reply, NULL), OH_IPC_SUCCESS);
    OHIPCRemoteProxy *another = OH_IPCParcel_ReadRemoteProxy(reply);
    CHECK(another != NULL);
    OHIPCDeathRecipient *recipient = OH_IPCDeathRecipient_Create(Died, NULL, NULL);
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(another, recipient), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_RemoveDeathRecipient(another, recipient), OH_IPC_INNER_ERROR);
    /* It does not go back to its device either. */
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(data, another), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_KEEP, data, reply, NULL), OH_IPC_INNER_ERROR);
    CHECK(strstr(SoftBus_LastError(), "origin") != NULL);
    OH_IPCDeathRecipient_Destroy(recipient);
    OH_IPCRemoteProxy_Destroy(another);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
}

TEST(a_node_has_room_for_1000_services)
{
    struct Device full;
    Start(&full, "full", NULL);
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    for (uint32_t service = 1; service <= 1000; service++) {
        CHECK_EQUAL(SoftBus_Service_Add(full.node, service, stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    }
    CHECK_EQUAL(SoftBus_Service_Add(full.node, 1001, stub, SOFTBUS_LOCAL), SOFTBUS_ERR_BUSY);
    /* One that is there is replaced all the same. */
    CHECK_EQUAL(SoftBus_Service_Add(full.node, 1000, stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    OH_IPCRemoteStub_Destroy(stub);
    SoftBus_Node_Stop(full.node);
}

TEST(services_are_registered_with_what_they_need)
{
    StartBoth();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(SoftBus_Service_Add(NULL, 7, stub, SOFTBUS_LOCAL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 0, stub, SOFTBUS_LOCAL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 7, NULL, SOFTBUS_LOCAL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Add(g_server.node, 7, stub, (SoftBus_Access)7), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Remove(NULL, 7), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Service_Remove(g_server.node, 0), SOFTBUS_ERR_ARGUMENT);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(nodes_are_started_with_what_they_need)
{
    SoftBusNode *node = NULL;
    SoftBus_NodeOptions options = {.size = sizeof(options), .listen = "127.0.0.1:0"};
    CHECK_EQUAL(SoftBus_Node_Start(NULL, &node), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ARGUMENT);
    options.identityDirectory = "other";
    CHECK_EQUAL(SoftBus_Node_Start(&options, NULL), SOFTBUS_ERR_ARGUMENT);
    options.size = 8;
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ARGUMENT);
    options.size = sizeof(options);
    options.listen = "nowhere";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ARGUMENT);
    options.listen = "192.0.2.1:7000";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ADDRESS);
    char taken[40];
    StartBoth();
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", SoftBus_Node_GetPort(g_server.node));
    options.listen = taken;
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ADDRESS);
    options.listen = "127.0.0.1:0";
    options.peers = "who where";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_ARGUMENT);
    options.peers = NULL;
    options.trustFile = "there-is-none";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_IDENTITY);
    options.trustFile = NULL;
    CHECK(mkdir("for-all", 0700) == 0 && chmod("for-all", 0777) == 0);
    options.identityDirectory = "for-all";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_IDENTITY);
    CHECK(strstr(SoftBus_LastError(), "others have access") != NULL);
    options.identityDirectory = "other";
    CHECK(node == NULL);
    FILE *list = fopen("trust.txt", "w");
    CHECK(fprintf(list, "# devices\n%s the server\n", g_server.id) > 0);
    fclose(list);
    options.trustFile = "trust.txt";
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_server.id), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "trust.txt"), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(node, "no id", NULL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Trust(node, NULL, NULL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Forget(node, NULL), SOFTBUS_ERR_ARGUMENT);
    char id[10];
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(node, id, sizeof(id)), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(node, NULL, 100), SOFTBUS_ERR_ARGUMENT);
    SoftBus_Node_Stop(node);
    SoftBus_Node_Stop(node);
    SoftBus_Node_Stop(NULL);
    CHECK_EQUAL(SoftBus_Node_GetPort(node), 0);
}

TEST(what_is_destroyed_is_no_handle)
{
    StartBoth();
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    uint32_t before = SoftBus_HandleCount();
    OH_IPCParcel_Destroy(parcel);
    CHECK_EQUAL(SoftBus_HandleCount(), before - 1);
    SoftBus_Node_Stop(g_client.node);
    SoftBus_Node_Stop(g_server.node);
    CHECK_EQUAL(SoftBus_HandleCount(), 0);
}

int main(int argc, char **argv)
{
    OH_LOG_SetMinLogLevel(LOG_ERROR);
    return RunTests(argc, argv);
}
