/* A logger with the functions of OpenHarmony's HiLog, for programs that were written for it. It prints to standard error.
 * Part of soft-bus, MIT OR Apache-2.0.
 *
 *     #undef LOG_DOMAIN
 *     #undef LOG_TAG
 *     #define LOG_DOMAIN 0x0201
 *     #define LOG_TAG "MY_TAG"
 *     OH_LOG_WARN(LOG_APP, "no %{private}s: %{public}d", url, errno);
 *
 *     11-21 15:01:06.870  1051  1051 W 0201/MY_TAG: no <private>: 2
 *
 * What is marked private is not printed. What is not marked is: the reader of standard error is who runs the program. */
#ifndef SOFTBUS_HILOG_LOG_H
#define SOFTBUS_HILOG_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The subsystem that logs, 0 to 0xFFFF. Defined by the program. */
#ifndef LOG_DOMAIN
#define LOG_DOMAIN 0
#endif

/** What in it logs. Defined by the program. */
#ifndef LOG_TAG
#define LOG_TAG NULL
#endif

typedef enum {
    /** The log of an application. */
    LOG_APP = 0,
} LogType;

typedef enum {
    LOG_DEBUG = 3,
    LOG_INFO = 4,
    LOG_WARN = 5,
    LOG_ERROR = 6,
    LOG_FATAL = 7,
} LogLevel;

/** Gets every message beside standard error. Called on the thread that logs. It may log and call every function of the
 *  library: what is logged on its thread until it returns goes to standard error alone. */
typedef void (*LogCallback)(const LogType type, const LogLevel level, const unsigned int domain, const char *tag,
    const char *msg);

/** Prints a line of up to 4,095 bytes of message. Returns its length, 0 if the level is not printed, and less on an
 *  error. */
int OH_LOG_VPrint(LogType type, LogLevel level, unsigned int domain, const char *tag, const char *fmt, va_list ap);
/** Prints a message as it is. */
int OH_LOG_PrintMsg(LogType type, LogLevel level, unsigned int domain, const char *tag, const char *message);
/** Whether a level is printed: LOG_INFO and above, unless OH_LOG_SetMinLogLevel() has said otherwise. */
bool OH_LOG_IsLoggable(unsigned int domain, const char *tag, LogLevel level);
/** Prints this level and those above it. */
void OH_LOG_SetMinLogLevel(LogLevel level);
/** Sets who gets the messages too; NULL for nobody. */
void OH_LOG_SetCallback(LogCallback callback);

/** As OH_LOG_VPrint(), with the arguments themselves. */
static inline int OH_LOG_Print(LogType type, LogLevel level, unsigned int domain, const char *tag, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int written = OH_LOG_VPrint(type, level, domain, tag, fmt, ap);
    va_end(ap);
    return written;
}

#define OH_LOG_DEBUG(type, ...) ((void)OH_LOG_Print((type), LOG_DEBUG, LOG_DOMAIN, LOG_TAG, __VA_ARGS__))
#define OH_LOG_INFO(type, ...) ((void)OH_LOG_Print((type), LOG_INFO, LOG_DOMAIN, LOG_TAG, __VA_ARGS__))
#define OH_LOG_WARN(type, ...) ((void)OH_LOG_Print((type), LOG_WARN, LOG_DOMAIN, LOG_TAG, __VA_ARGS__))
#define OH_LOG_ERROR(type, ...) ((void)OH_LOG_Print((type), LOG_ERROR, LOG_DOMAIN, LOG_TAG, __VA_ARGS__))
#define OH_LOG_FATAL(type, ...) ((void)OH_LOG_Print((type), LOG_FATAL, LOG_DOMAIN, LOG_TAG, __VA_ARGS__))

#ifdef __cplusplus
}
#endif

#endif
