/* A device of the lab that calls a service of another one: lab_client DIRECTORY ID ADDRESS SERVICE. */
#include <IPCKit/ipc_kit.h>
#include <softbus/device.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char peers[200];
    if (argc != 5 || snprintf(peers, sizeof(peers), "%s %s", argv[2], argv[3]) >= (int)sizeof(peers)) {
        return 2;
    }
    SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = argv[1], .peers = peers};
    SoftBusNode *node = NULL;
    OHIPCRemoteProxy *proxy = NULL;
    int error = SoftBus_Node_Start(&options, &node);
    if (error == SOFTBUS_OK) {
        error = SoftBus_Service_WaitFor(node, (uint32_t)atoi(argv[4]), argv[2], 20000, &proxy);
    }
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OH_IPCParcel_WriteInt32(data, 40);
    OH_IPCParcel_WriteInt32(data, 2);
    int result = OH_IPCRemoteProxy_SendRequest(proxy, 1, data, reply, NULL);
    int32_t sum = 0;
    OH_IPCParcel_ReadInt32(reply, &sum);
    printf("error %d result %d sum %d\n", error, result, sum);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(proxy);
    SoftBus_Node_Stop(node);
    return 0;
}
