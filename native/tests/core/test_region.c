#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/region.h"
#include "core/slots.h"
#include "core/test_point.h"
#include "world.h"

static struct hami_region region;

static enum hami_region_result attach(uint32_t devices) {
  hami_region_detach(&region);
  memset(&region, 0, sizeof region);
  return hami_region_attach(&region, &world_effects, world_path("region"), devices);
}

static off_t file_size(void) {
  struct stat found;
  CHECK(stat(world_path("region"), &found) == 0);
  return found.st_size;
}

static void change(off_t at, const void *bytes, size_t length) {
  int fd = open(world_path("region"), O_RDWR);
  CHECK(fd >= 0 && pwrite(fd, bytes, length, at) == (ssize_t)length && close(fd) == 0);
}

static void change_u32(size_t at, uint32_t value) { change((off_t)at, &value, sizeof value); }

static void a_missing_file_is_created_and_an_existing_one_joined(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(2));
  CHECK_EQUAL(HAMI_REGION_MAGIC, region.header->magic);
  CHECK_EQUAL(1, region.header->segment_count);
  region.devices[1].busy_ns = 77;
  CHECK_EQUAL(HAMI_REGION_OK, attach(2));
  CHECK_EQUAL(77, region.devices[1].busy_ns);
  CHECK(hami_region_device_at(&region, region.device_capacity) == NULL);
}

static void there_is_room_for_as_many_devices_as_asked_for(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(HAMI_REGION_MAX_DEVICES));
  CHECK_EQUAL(HAMI_REGION_MAX_DEVICES, region.device_capacity);
  *hami_slot_classes(&region, 63, HAMI_REGION_MAX_DEVICES - 1) = 1;
  CHECK_EQUAL(HAMI_REGION_UNREACHABLE, attach(HAMI_REGION_MAX_DEVICES + 1));
}

static void an_empty_file_is_filled(void) {
  world_begin();
  world_write("region", "");
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
}

static void the_mode_follows_the_folder_whatever_the_umask(void) {
  struct stat found;
  mode_t before = umask(077);
  world_begin();
  CHECK(chmod(world_path(""), 0777) == 0);
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK(stat(world_path("region"), &found) == 0);
  CHECK_EQUAL(0666, found.st_mode & 0777);
  CHECK_EQUAL(077, umask(before));
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK(stat(world_path("region"), &found) == 0);
  CHECK_EQUAL(0600, found.st_mode & 0777);
}

static void what_is_not_a_region_is_left_alone(void) {
  world_begin();
  world_write("region", "some text of somebody's, longer than a magic number");
  off_t size = file_size();
  CHECK_EQUAL(HAMI_REGION_FOREIGN, attach(1));
  CHECK_EQUAL(size, file_size());
  CHECK(!hami_region_ready(&region));
  CHECK(unlink(world_path("region")) == 0);
  CHECK(symlink("/etc/passwd", world_path("region")) == 0);
  CHECK_EQUAL(HAMI_REGION_UNREACHABLE, attach(1));
  CHECK(unlink(world_path("region")) == 0);
  CHECK(mkfifo(world_path("region"), 0600) == 0);
  CHECK_EQUAL(HAMI_REGION_UNREACHABLE, attach(1));
  CHECK(unlink(world_path("region")) == 0);
  CHECK(mkdir(world_path("region"), 0700) == 0);
  CHECK_EQUAL(HAMI_REGION_UNREACHABLE, attach(1));
  CHECK(rmdir(world_path("region")) == 0);
}

static void another_major_version_is_not_read(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  change_u32(offsetof(struct hami_region_header, major), HAMI_REGION_VERSION_MAJOR + 1);
  CHECK_EQUAL(HAMI_REGION_FOREIGN, attach(1));
}

static void a_newer_minor_version_with_larger_records_is_joined(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  change_u32(offsetof(struct hami_region_header, minor), 9);
  change_u32(offsetof(struct hami_region_header, device_bytes), 512);
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK_EQUAL(512, (char *)hami_region_device_at(&region, 1) - (char *)hami_region_device_at(&region, 0));
}

static void sizes_that_cannot_be_true_are_refused(void) {
  static const struct {
    size_t at;
    uint32_t value;
  } lies[] = {
      {offsetof(struct hami_region_header, device_capacity), 0},
      {offsetof(struct hami_region_header, device_capacity), 4096},
      {offsetof(struct hami_region_header, device_capacity), UINT32_MAX},
      {offsetof(struct hami_region_header, device_bytes), 8},
      {offsetof(struct hami_region_header, device_bytes), 257},
      {offsetof(struct hami_region_header, device_bytes), UINT32_MAX - 7},
      {offsetof(struct hami_region_header, head_bytes), 0},
      {offsetof(struct hami_region_header, head_bytes), 4096},
      {offsetof(struct hami_region_header, head_bytes), 0xffff0000},
      {offsetof(struct hami_region_header, segment_bytes), 0},
      {offsetof(struct hami_region_header, segment_bytes), 0xffff0000},
      {offsetof(struct hami_region_header, segment_count), 0},
      {offsetof(struct hami_region_header, segment_count), 2},
      {offsetof(struct hami_region_header, segment_count), UINT32_MAX},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    world_begin();
    CHECK_EQUAL(HAMI_REGION_OK, attach(1));
    change_u32(lies[i].at, lies[i].value);
    CHECK_EQUAL(HAMI_REGION_DAMAGED, attach(1));
  }
}

static void a_truncated_file_is_refused(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  off_t whole = file_size();
  for (off_t size = 8; size < whole; size += 4001) {
    hami_region_detach(&region);
    CHECK(truncate(world_path("region"), size) == 0);
    enum hami_region_result result = attach(1);
    CHECK(result == HAMI_REGION_DAMAGED || result == HAMI_REGION_FOREIGN);
    CHECK(unlink(world_path("region")) == 0);
    CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  }
}

static void a_file_cut_short_while_mapped_is_replaced_by_private_memory(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK(hami_region_intact(&region));
  CHECK(truncate(world_path("region"), 100) == 0);
  CHECK(!hami_region_intact(&region));
  *hami_slot_charged(&region, 5, 0) = 1; /* would be a SIGBUS */
  CHECK(!hami_region_grow(&region, 1));
}

static void a_region_of_an_earlier_boot_starts_anew(void) {
  static const unsigned char other_boot[16] = {1, 2, 3};
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  region.devices[0].busy_ns = 5;
  change(offsetof(struct hami_region_header, boot_id), other_boot, sizeof other_boot);
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK_EQUAL(0, region.devices[0].busy_ns);
}

static off_t shortest;

static void note_size(const char *name) {
  if (strcmp(name, "region.wiped") == 0) {
    shortest = file_size();
    CHECK_EQUAL(0, __atomic_load_n(&region.header->magic, __ATOMIC_RELAXED)); /* would be a SIGBUS */
  }
}

static void a_file_laid_out_anew_is_never_shorter_than_what_others_map(void) {
  static struct hami_region second;
  static const uint64_t nothing;
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK(hami_region_grow(&region, 1) && hami_region_map_new(&region));
  *hami_slot_charged(&region, 100, 0) = 9;
  off_t whole = file_size();
  change(offsetof(struct hami_region_header, magic), &nothing, sizeof nothing); /* somebody overwrote it */
  hami_test_point = note_size;
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&second, &world_effects, world_path("region"), 1));
  hami_test_point = NULL;
  CHECK_EQUAL(whole, shortest);
  CHECK_EQUAL(0, *hami_slot_charged(&region, 100, 0)); /* nor is anything left of what was there */
  hami_region_detach(&second);
}

static const char *stop_at;

static void die(const char *name) {
  if (strcmp(name, stop_at) == 0) {
    _exit(9);
  }
}

static void a_creator_killed_at_any_point_leaves_a_file_the_next_can_use(void) {
  static const char *const deaths[] = {"region.laid_out_empty", "region.laid_out_without_magic", "region.drafted"};
  for (size_t i = 0; i < 6; i++) {
    world_begin();
    if (i >= 3) {
      world_write("region", ""); /* filled in place, under the lock */
    }
    pid_t child = fork();
    if (child == 0) {
      stop_at = deaths[i % 3];
      hami_test_point = die;
      (void)attach(1);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK_EQUAL(i == 5 ? 0 : 9, WEXITSTATUS(status));
    world_now_ns++;
    CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  }
}

static struct hami_region second;

static void attach_second(const char *name) {
  if (strcmp(name, "region.drafted") == 0) {
    hami_test_point = NULL;
    world_now_ns++;
    CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&second, &world_effects, world_path("region"), 1));
  }
}

static void of_two_creators_both_get_the_first_one_s_file(void) {
  world_begin();
  memset(&second, 0, sizeof second);
  hami_test_point = attach_second;
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK_EQUAL(second.file_inode, region.file_inode);
  second.devices[0].busy_ns = 8;
  CHECK_EQUAL(8, region.devices[0].busy_ns);
  hami_region_detach(&second);
}

static void one_that_stops_while_filling_a_file_is_waited_for_a_bounded_time(void) {
  world_begin();
  int fd = open(world_path("region"), O_RDWR | O_CREAT, 0600);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
  CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0);
  CHECK_EQUAL(HAMI_REGION_BUSY, attach(1));
  CHECK(world_slept_ns > 0 && world_slept_ns <= 500000000);
  CHECK(close(fd) == 0);
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
}

static void growing_adds_a_segment_that_others_see(void) {
  static struct hami_region other;
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&other, &world_effects, world_path("region"), 1));
  CHECK(hami_region_grow(&region, 1));
  CHECK(hami_region_grow(&other, 1)); /* somebody just did */
  CHECK_EQUAL(2, region.header->segment_count);
  CHECK(hami_region_map_new(&region) && hami_region_map_new(&other));
  *hami_slot_charged(&region, 64, 0) = 3;
  CHECK_EQUAL(3, *hami_slot_charged(&other, 64, 0));
  hami_region_detach(&other);
}

static void grow_first(const char *name) {
  if (strcmp(name, "region.opened") == 0) {
    hami_test_point = NULL;
    CHECK(hami_region_grow(&second, 1));
  }
}

static void a_file_that_grows_while_it_is_joined_is_joined(void) {
  world_begin();
  memset(&second, 0, sizeof second);
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&second, &world_effects, world_path("region"), 1));
  hami_test_point = grow_first;
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK_EQUAL(2, region.segment_count);
  hami_region_detach(&second);
}

static void a_count_of_segments_that_the_file_does_not_hold_is_not_believed(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  region.header->segment_count = UINT32_MAX;
  CHECK(hami_region_map_new(&region));
  CHECK_EQUAL(1, region.segment_count);
}

static void random_damage_never_crashes(void) {
  unsigned int seed = 7;
  printf("seed %u\n", seed);
  for (int round = 0; round < 300; round++) {
    world_begin();
    CHECK_EQUAL(HAMI_REGION_OK, attach(1));
    hami_region_detach(&region);
    for (int i = 0; i < 4; i++) {
      unsigned char byte = (unsigned char)rand_r(&seed);
      change((off_t)(8 + rand_r(&seed) % 40), &byte, 1);
    }
    if (attach(1) == HAMI_REGION_OK) {
      (void)hami_slots_sum(&region, region.device_capacity - 1, HAMI_NO_SLOT);
    }
  }
}

static void limit_file_sizes(void) {
  struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The signal that the kernel would send ends a program that does not expect it. */
static void a_program_that_may_not_write_large_files_lives_on(void) {
  for (int there = 0; there < 2; there++) {
    world_begin();
    if (there) {
      world_write("region", "");
    }
    pid_t child = fork();
    if (child == 0) {
      limit_file_sizes();
      CHECK_EQUAL(HAMI_REGION_UNREACHABLE, attach(1));
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQUAL(0, status);
  }
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  pid_t child = fork();
  if (child == 0) {
    limit_file_sizes();
    CHECK_EQUAL(HAMI_REGION_OK, attach(1));
    CHECK(!hami_region_grow(&region, 1));
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void no_descriptor_stays_open(void) {
  world_begin();
  int before = open("/dev/null", O_RDONLY);
  CHECK(before >= 0 && close(before) == 0);
  CHECK_EQUAL(HAMI_REGION_OK, attach(1));
  CHECK(hami_region_grow(&region, 1) && hami_region_map_new(&region));
  int after = open("/dev/null", O_RDONLY);
  CHECK_EQUAL(before, after);
  CHECK(close(after) == 0);
}

int main(void) {
  RUN(a_missing_file_is_created_and_an_existing_one_joined);
  RUN(there_is_room_for_as_many_devices_as_asked_for);
  RUN(an_empty_file_is_filled);
  RUN(the_mode_follows_the_folder_whatever_the_umask);
  RUN(what_is_not_a_region_is_left_alone);
  RUN(another_major_version_is_not_read);
  RUN(a_newer_minor_version_with_larger_records_is_joined);
  RUN(sizes_that_cannot_be_true_are_refused);
  RUN(a_truncated_file_is_refused);
  RUN(a_file_cut_short_while_mapped_is_replaced_by_private_memory);
  RUN(a_region_of_an_earlier_boot_starts_anew);
  RUN(a_file_laid_out_anew_is_never_shorter_than_what_others_map);
  RUN(a_creator_killed_at_any_point_leaves_a_file_the_next_can_use);
  RUN(of_two_creators_both_get_the_first_one_s_file);
  RUN(one_that_stops_while_filling_a_file_is_waited_for_a_bounded_time);
  RUN(growing_adds_a_segment_that_others_see);
  RUN(a_file_that_grows_while_it_is_joined_is_joined);
  RUN(a_count_of_segments_that_the_file_does_not_hold_is_not_believed);
  RUN(random_damage_never_crashes);
  RUN(a_program_that_may_not_write_large_files_lives_on);
  RUN(no_descriptor_stays_open);
  return 0;
}
