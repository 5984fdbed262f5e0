/* What the library `libtest_child.so`, service.c, answers, and what its clients ask. */
#ifndef SOFTBUS_TEST_SERVICE_H
#define SOFTBUS_TEST_SERVICE_H

#define SERVICE_DESCRIPTOR "softbus.test.Service"
#define SERVICE_TOKEN "softbus.test.token"

enum ServiceCode {
    /** int32 -> the same. */
    SERVICE_ECHO = 1,
    /** int32 -> that as the result of the callback, and a reply that must not arrive. */
    SERVICE_FAIL,
    /** int32 milliseconds -> after that, nothing. */
    SERVICE_SLEEP,
    /** -> int64 pid, uid, token; int32 local, handling. */
    SERVICE_WHO,
    /** -> never: the process kills itself. */
    SERVICE_CRASH,
    /** proxy, int32 -> what that answers to SERVICE_ECHO. */
    SERVICE_CALL_BACK,
    /** -> a stub that answers the same. */
    SERVICE_ANOTHER,
    /** descriptor -> "here" is written to it. */
    SERVICE_WRITE,
    /** token -> a user's error if it is not SERVICE_TOKEN. */
    SERVICE_CHECK_TOKEN,
    /** proxy -> kept until the next one, or none, comes. */
    SERVICE_KEEP,
    /** proxy -> the same. */
    SERVICE_GIVE_BACK,
    /** -> how often the one before has been called since. */
    SERVICE_COUNT,
    /** -> the handler destroys its own stub, of SERVICE_ANOTHER. */
    SERVICE_DESTROY_SELF,
    /** -> the checks of the caller's identity that service.c makes, 0 if they hold. */
    SERVICE_IDENTITY,
    /** -> int32: what OH_Ability_CreateNativeChildProcess returns in a child. */
    SERVICE_START_CHILD,
    /** int32 -> the same, and then the main procedure returns. */
    SERVICE_END,
    /** -> when SERVICE_GO has come, nothing. */
    SERVICE_WAIT,
    SERVICE_GO,
    /** -> int32: how many handles the process has. */
    SERVICE_HANDLES,
    /** -> uint64: the tokens of this process and of the first caller. */
    SERVICE_TOKENS,
    /** Both ends of the range of codes. */
    SERVICE_LAST = 0x00ffffff,
};

#define SERVICE_ERROR_TOKEN (OH_IPC_USER_ERROR_CODE_MIN + 1)

#endif
