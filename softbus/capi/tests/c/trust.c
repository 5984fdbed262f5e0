/* Whom a node trusts, and what is no device to trust: `trust DEVICE BLOCKED`. trust.rs, its parent, has blocked the second one in
 * the directory `identity`, and has written a list that fills a store, `full.txt`, and one with a device more, `over.txt`. */
#include "test.h"

#include <softbus/device.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *g_device, *g_blocked;

static SoftBusNode *StartIn(const char *directory)
{
    SoftBusNode *node = NULL;
    SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = directory, .listen = "127.0.0.1:0"};
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_OK);
    return node;
}

TEST(a_device_is_trusted_until_it_is_forgotten)
{
    char name[66];
    memset(name, 'a', 65);
    name[65] = '\0';
    SoftBusNode *node = StartIn("identity");
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, name), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, "a\nb"), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, "\xff"), SOFTBUS_ERR_ARGUMENT);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_ERR_ABSENT);
    name[64] = '\0';
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, name), SOFTBUS_OK);
    /* Once more gives it another name. */
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, NULL), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_ERR_ABSENT);
    SoftBus_Node_Stop(node);
}

TEST(a_blocked_device_is_not_trusted)
{
    SoftBusNode *node = StartIn("identity");
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_blocked, "friend"), SOFTBUS_ERR_REFUSED);
    CHECK(strstr(SoftBus_LastError(), "blocked") != NULL);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_blocked), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_blocked, "friend"), SOFTBUS_OK);
    SoftBus_Node_Stop(node);
}

TEST(so_many_devices_are_trusted_and_no_more)
{
    SoftBusNode *node = StartIn("full");
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "over.txt"), SOFTBUS_ERR_BUSY);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "full.txt"), SOFTBUS_OK);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, NULL), SOFTBUS_ERR_BUSY);
    CHECK(strstr(SoftBus_LastError(), "16384") != NULL);
    SoftBus_Node_Stop(node);
    node = NULL;
    SoftBus_NodeOptions options = {
        .size = sizeof(options), .identityDirectory = "over", .listen = "127.0.0.1:0", .trustFile = "over.txt"};
    CHECK_EQUAL(SoftBus_Node_Start(&options, &node), SOFTBUS_ERR_BUSY);
    CHECK(node == NULL);
}

TEST(a_list_with_a_wrong_line_is_not_loaded)
{
    SoftBusNode *node = StartIn("identity");
    FILE *list = fopen("wrong.txt", "w");
    CHECK(fprintf(list, "%s good\nthis is none\n", g_device) > 0);
    fclose(list);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "wrong.txt"), SOFTBUS_ERR_IDENTITY);
    CHECK(strstr(SoftBus_LastError(), "line 2") != NULL);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_ERR_ABSENT);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "there-is-none"), SOFTBUS_ERR_IDENTITY);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, NULL), SOFTBUS_ERR_ARGUMENT);
    SoftBus_Node_Stop(node);
}

TEST(what_cannot_be_written_down_is_not_trusted)
{
    SoftBusNode *node = StartIn("unwritable");
    /* In the way of the file. */
    const char *file = "unwritable/trust.toml", *aside = "unwritable/aside.toml";
    CHECK(mkdir(file, 0700) == 0);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, NULL), SOFTBUS_ERR_IDENTITY);
    CHECK(rmdir(file) == 0);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_ERR_ABSENT);
    CHECK_EQUAL(SoftBus_Node_Trust(node, g_device, NULL), SOFTBUS_OK);
    CHECK(rename(file, aside) == 0 && mkdir(file, 0700) == 0);
    CHECK_EQUAL(SoftBus_Node_Forget(node, g_device), SOFTBUS_ERR_IDENTITY);
    CHECK_EQUAL(SoftBus_Node_LoadTrust(node, "/dev/null"), SOFTBUS_ERR_IDENTITY);
    SoftBus_Node_Stop(node);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    g_device = argv[1];
    g_blocked = argv[2];
    return RunTests(1, argv);
}
