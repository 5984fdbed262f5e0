/* A library of a child process that has no stub. */
void *NativeChildProcess_OnConnect(void);
void NativeChildProcess_MainProc(void);

void *NativeChildProcess_OnConnect(void)
{
    return 0;
}

void NativeChildProcess_MainProc(void)
{
}
