/* A library of a child process that is never ready, and a program that waits for it. */
#include "client.h"

OHIPCRemoteStub *NativeChildProcess_OnConnect(void);
void NativeChildProcess_MainProc(void);

OHIPCRemoteStub *NativeChildProcess_OnConnect(void)
{
    for (;;) {
        pause();
    }
}

void NativeChildProcess_MainProc(void)
{
}

TEST(a_child_has_30_s_to_be_ready)
{
    CHECK_EQUAL(OH_Ability_CreateNativeChildProcess("libtest_late.so", Started), NCP_NO_ERROR);
    CHECK_EQUAL(g_startError, NCP_ERR_TIMEOUT);
    CHECK(g_started == NULL);
    OH_IPCRemoteProxy_Destroy(g_started);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
