/* A library of a child process that ends before it has a stub. */
#include <stdlib.h>

void *NativeChildProcess_OnConnect(void);
void NativeChildProcess_MainProc(void);

void *NativeChildProcess_OnConnect(void)
{
    _Exit(3);
}

void NativeChildProcess_MainProc(void)
{
}
