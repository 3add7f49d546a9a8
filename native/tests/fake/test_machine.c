#include "common/machine.h"

#include "tests/core/check.h"

static struct fake_machine machine;
static char error[256];

static bool parse(const char *text) {
  error[0] = '\0';
  return fake_machine_parse(&machine, text, strlen(text), error, sizeof error);
}

#define CARD "\"uuid\": \"GPU-1\", \"model\": \"M\", \"memory_mib\": 1000, \"multiprocessors\": 4, "
#define CAPABILITY "\"compute_capability\": [8, 6]"

static void test_a_card_needs_little_and_gets_defaults(void) {
  CHECK(parse("{\"devices\": [{" CARD CAPABILITY "}]}"));
  CHECK_EQUAL(1, machine.device_count);
  CHECK_EQUAL(1000 * FAKE_MIB, machine.devices[0].memory_bytes);
  CHECK_EQUAL(13000, machine.cuda_version);
  CHECK_EQUAL(-1, (int64_t)machine.devices[0].numa);
}

static void test_reserved_memory_is_not_for_allocations(void) {
  CHECK(parse("{\"devices\": [{" CARD "\"reserved_mib\": 100, " CAPABILITY "}]}"));
  CHECK_EQUAL(900 * FAKE_MIB, machine.units[0].memory_bytes);
}

static void test_mig_instances_are_units_after_the_cards(void) {
  CHECK(parse("{\"devices\": [{" CARD CAPABILITY
              ", \"mig\": {\"enabled\": true, \"profiles\": [{\"name\": \"1g\", \"id\": 0, \"memory_mib\": 200,"
              " \"slice_count\": 1, \"multiprocessors\": 1, \"placement_size\": 1, \"placements\": [0, 1]}],"
              " \"instances\": [{\"uuid\": \"MIG-1\", \"profile\": \"1g\", \"placement_start\": 1}]}}]}"));
  CHECK_EQUAL(2, machine.unit_count);
  CHECK_EQUAL(0, machine.units[1].device);
  CHECK_EQUAL(200 * FAKE_MIB, machine.units[1].memory_bytes);
}

static void refused(const char *text, const char *place) {
  CHECK(!parse(text));
  if (strstr(error, place) == NULL) {
    fprintf(stderr, "\"%s\" does not name %s\n", error, place);
    exit(1);
  }
}

static void test_a_wrong_file_is_refused_with_its_place(void) {
  refused("[]", "must be an object");
  refused("{\"devices\": [{\"uuid\": \"GPU-1\"}]}", "devices[0].model");
  refused("{\"devices\": [{" CARD "\"compute_capability\": 8}]}", "devices[0].compute_capability");
  refused("{\"devices\": [{" CARD CAPABILITY ", \"numa\": -2}]}", "devices[0].numa");
  refused("{\"devices\": [{" CARD CAPABILITY ", \"reserved_mib\": 1000}]}", "devices[0].reserved_mib");
  refused("{\"devices\": [{" CARD CAPABILITY ", \"pci_bus_id\": \"3b\"}]}", "devices[0].pci_bus_id");
  refused("{\"devices\": [{" CARD CAPABILITY "}, {" CARD CAPABILITY "}]}", "devices[1].uuid");
  refused("{\"devices\": [{" CARD CAPABILITY ", \"links\": [{\"peer_uuid\": \"GPU-9\"}]}]}", "devices[0].links");
  refused("{\"cuda_version\": 13, \"devices\": []}", "cuda_version");
}

static void test_the_shipped_machines_are_good(void) {
  static const char *const names[] = {"a40x2", "h100x8", "t4", "a100-mig"};
  static char text[1 << 20];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", MACHINES, names[i]);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    CHECK(fake_machine_parse(&machine, text, length, error, sizeof error));
    CHECK_TEXT(names[i], machine.name);
  }
}

int main(void) {
  RUN(test_a_card_needs_little_and_gets_defaults);
  RUN(test_reserved_memory_is_not_for_allocations);
  RUN(test_mig_instances_are_units_after_the_cards);
  RUN(test_a_wrong_file_is_refused_with_its_place);
  RUN(test_the_shipped_machines_are_good);
  return 0;
}
