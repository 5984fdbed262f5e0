/* A library of a child process whose stub is no handle any more. */
#include <IPCKit/ipc_kit.h>
#include <stddef.h>

OHIPCRemoteStub *NativeChildProcess_OnConnect(void);
void NativeChildProcess_MainProc(void);

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)reply, (void)userData;
    return OH_IPC_SUCCESS;
}

OHIPCRemoteStub *NativeChildProcess_OnConnect(void)
{
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("gone", Answer, NULL, NULL);
    OH_IPCRemoteStub_Destroy(stub);
    return stub;
}

void NativeChildProcess_MainProc(void)
{
}
