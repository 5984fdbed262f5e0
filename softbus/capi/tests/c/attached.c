/* A process of a device whose bus another one hosts: attached.rs, which is its parent, has the service and the host.
 * `attached PATH` */
#include "service.h"
#include "test.h"

#include <softbus/device.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OF_HOST = 1401, OURS = 1402, WAIT_MS = 20000 };

static const char *g_path;
static struct Event g_end = EVENT;

static SoftBusNode *Attach(void)
{
    SoftBusNode *node = NULL;
    CHECK_EQUAL(SoftBus_Node_Attach(g_path, &node), SOFTBUS_OK);
    return node;
}

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)userData;
    int32_t value = 0;
    if (code == SERVICE_LAST) {
        Happen(&g_end);
        return OH_IPC_SUCCESS;
    }
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(data, &value), OH_IPC_SUCCESS);
    return OH_IPCParcel_WriteInt32(reply, value + 1);
}

/** A service of the host is called, and one of ours by the host. */
static void CallEachOther(SoftBusNode *node)
{
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(SoftBus_Service_Add(node, OURS, stub, SOFTBUS_DISTRIBUTED), SOFTBUS_OK);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(node, OF_HOST, NULL, WAIT_MS, &proxy), SOFTBUS_OK);
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 40), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 2), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, 1, data, reply, NULL), OH_IPC_SUCCESS);
    int32_t sum = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &sum), OH_IPC_SUCCESS);
    printf("sum %d\n", sum);
    fflush(stdout);
    /* The host has called what was registered here. */
    WaitFor(&g_end, 1);
    CHECK_EQUAL(SoftBus_Service_Remove(node, OURS), SOFTBUS_OK);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(an_attached_process_has_the_services_of_its_device)
{
    SoftBusNode *node = Attach();
    char id[SOFTBUS_DEVICE_ID_SIZE];
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(node, id, sizeof(id)), SOFTBUS_OK);
    printf("device %s\n", id);
    CallEachOther(node);
    SoftBus_Node_Stop(node);
    CHECK_EQUAL(SoftBus_HandleCount(), 0);
}

TEST(what_the_host_has_an_attached_process_has_not)
{
    /* Where the host is by default: the parent has made that the same. */
    SoftBusNode *node = NULL;
    CHECK_EQUAL(SoftBus_Node_Attach(NULL, &node), SOFTBUS_OK);
    char id[SOFTBUS_DEVICE_ID_SIZE];
    CHECK_EQUAL(SoftBus_Node_GetDeviceId(node, id, sizeof(id)), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_GetPort(node), 0);
    CHECK_EQUAL(SoftBus_Node_Trust(node, id, NULL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Forget(node, id), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "trust.txt"), SOFTBUS_ERR_ARGUMENT);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(node, 99, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_ABSENT);
    SoftBus_Node_Stop(node);
}

TEST(who_cannot_attach_is_told_why)
{
    SoftBusNode *node = NULL;
    CHECK_EQUAL(SoftBus_Node_Attach(g_path, NULL), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Attach("there-is-none", &node), SOFTBUS_ERR_UNREACHABLE);
    CHECK(node == NULL);
    CHECK(strlen(SoftBus_LastError()) > 0);
}

/** A socket at a path, which nobody accepts from yet. */
static int Listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(socket_, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(socket_, 1) == 0);
    return socket_;
}

static void *Greet(void *socket_)
{
    const char greeting[] = "220 mail.example.org at your service\r\n";
    int client = accept(*(int *)socket_, NULL, NULL);
    CHECK(client >= 0);
    CHECK(write(client, greeting, strlen(greeting)) > 0);
    close(client);
    return NULL;
}

TEST(what_listens_and_is_no_host_is_not_attached_to)
{
    SoftBusNode *node = NULL;
    int another = Listen("mail.sock"), silent = Listen("silent.sock");
    pthread_t greets;
    CHECK(pthread_create(&greets, NULL, Greet, &another) == 0);
    CHECK_EQUAL(SoftBus_Node_Attach("mail.sock", &node), SOFTBUS_ERR_FAILED);
    CHECK(strstr(SoftBus_LastError(), "not a bus") != NULL);
    CHECK(pthread_join(greets, NULL) == 0);
    /* One that says nothing has 5 s. */
    CHECK_EQUAL(SoftBus_Node_Attach("silent.sock", &node), SOFTBUS_ERR_UNREACHABLE);
    CHECK(strstr(SoftBus_LastError(), "timed out") != NULL);
    CHECK(node == NULL);
    close(another);
    close(silent);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    g_path = argv[1];
    return RunTests(1, argv);
}
