/* A library of a child process that is killed by its first request. */
#include <IPCKit/ipc_kit.h>
#include <signal.h>
#include <unistd.h>

OHIPCRemoteStub *NativeChildProcess_OnConnect(void);
void NativeChildProcess_MainProc(void);

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)reply, (void)userData;
    kill(getpid(), SIGKILL);
    return OH_IPC_SUCCESS;
}

OHIPCRemoteStub *NativeChildProcess_OnConnect(void)
{
    return OH_IPCRemoteStub_Create("killed", Answer, 0, 0);
}

void NativeChildProcess_MainProc(void)
{
    for (;;) {
        pause();
    }
}
