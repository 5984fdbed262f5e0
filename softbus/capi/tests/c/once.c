/* One call and the end: what a program that does little has at its end is not lost either. */
#include "client.h"

TEST(one_call_loses_nothing)
{
    OHIPCRemoteProxy *service = Start();
    int32_t answer = 0;
    CHECK_EQUAL(Ask(service, SERVICE_ECHO, 7, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 7);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
