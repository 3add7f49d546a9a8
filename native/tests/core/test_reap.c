#include "check.h"
#include "core/process.h"
#include "core/reap.h"
#include "world.h"

static struct world_process *living;
static struct world_process *dying;

static void begin(void) {
  if (living != NULL) {
    world_free(living);
    world_free(dying);
  }
  world_begin();
  char text[1024];
  (void)snprintf(text, sizeof text, "hami-limits 1\nregion %s\ndevice " WORLD_GPU_0 " memory_mib=100\n",
                 world_path("region"));
  world_write("limits", text);
  living = world_process(7);
  dying = world_process(8);
  CHECK(world_reserve(dying, 0, 60 * MIB));
}

static void a_dead_owner_s_charge_is_gone_within_a_second(void) {
  begin();
  world_kill(8);
  world_now_ns += 1100000000;
  CHECK_EQUAL(0, world_used(living, 0));
  CHECK_EQUAL(1, living->region.header->reaped_count);
}

static void a_request_finds_the_dead_before_it_is_refused(void) {
  begin();
  CHECK(!world_reserve(living, 0, 50 * MIB));
  world_kill(8);
  CHECK(world_reserve(living, 0, 50 * MIB));
  CHECK_EQUAL(50 * MIB, world_used(living, 0));
}

static void a_zombie_holds_nothing(void) {
  begin();
  world_make_zombie(8);
  CHECK(world_reserve(living, 0, 100 * MIB));
}

static void another_process_with_the_same_pid_inherits_nothing(void) {
  begin();
  world_start(8);
  CHECK(world_reserve(living, 0, 100 * MIB));
}

static void a_program_that_replaced_itself_starts_at_zero(void) {
  begin();
  struct hami_identity before = dying->ledger.self->identity;
  struct world_process *replaced = calloc(1, sizeof *replaced);
  CHECK(replaced != NULL);
  *replaced = *dying;
  memset(&replaced->region, 0, sizeof replaced->region);
  world_pid = 8;
  CHECK(hami_ledger_open(&replaced->ledger, &world_effects, &replaced->limits, &replaced->region));
  replaced->pacing.local = NULL;
  CHECK_EQUAL(0, world_used(replaced, 0));
  CHECK_EQUAL(before.start_time, replaced->ledger.self->identity.start_time);
  world_free(replaced);
}

static void a_living_process_s_slot_stays(void) {
  begin();
  world_now_ns += 3600000000000ULL;
  world_act(living);
  CHECK_EQUAL(0, hami_reap(&living->region, &world_effects, &living->ledger.self->identity));
  CHECK_EQUAL(60 * MIB, world_used(living, 0));
}

static void a_process_taken_for_dead_counts_again_at_its_next_operation(void) {
  begin();
  world_act(dying);
  CHECK(hami_slots_free(&dying->region, dying->ledger.self->slot, dying->ledger.self->owner_word));
  CHECK_EQUAL(0, world_used(living, 0));
  world_now_ns += 100000000;
  world_act(dying);
  hami_ledger_tick(&dying->ledger, world_now_ns);
  CHECK_EQUAL(60 * MIB, world_used(living, 0));
}

/* Restored from a checkpoint, or moved: the same pid, started at another time. */
static void a_restored_process_is_known_by_its_new_start(void) {
  begin();
  world_start(8);
  world_now_ns += 1100000000;
  CHECK_EQUAL(0, world_used(living, 0));
  world_act(dying);
  hami_ledger_tick(&dying->ledger, world_now_ns);
  world_now_ns += 1100000000;
  CHECK_EQUAL(60 * MIB, world_used(living, 0));
}

/* A restarted container: the same region, another PID namespace, the old one's processes gone or not to be seen. */
static void another_namespace_s_slots_go_when_silent_and_older_than_this_one(void) {
  begin();
  world_start(1);
  uint64_t born = hami_namespace_birth_ns(&world_effects);
  struct hami_region_slot *record = hami_slot_record(&dying->region, dying->ledger.self->slot);
  struct hami_identity *self = &living->ledger.self->identity;
  record->pid_namespace = self->pid_namespace + 1;
  record->attached_ns = born + 1;
  record->active_ns = world_now_ns - 60000000000ULL;
  CHECK_EQUAL(0, hami_reap(&living->region, &world_effects, self));
  record->attached_ns = born - 1;
  record->active_ns = world_now_ns - 1;
  CHECK_EQUAL(0, hami_reap(&living->region, &world_effects, self));
  record->active_ns = world_now_ns - 60000000000ULL;
  CHECK_EQUAL(1, hami_reap(&living->region, &world_effects, self));
}

static void a_namespace_is_no_younger_for_a_machine_that_slept(void) {
  begin();
  world_start(1);
  uint64_t born = hami_namespace_birth_ns(&world_effects);
  struct hami_region_slot *record = hami_slot_record(&dying->region, dying->ledger.self->slot);
  struct hami_identity *self = &living->ledger.self->identity;
  record->pid_namespace = self->pid_namespace + 1;
  record->attached_ns = born - 1;
  record->active_ns = world_now_ns - 60000000000ULL;
  world_suspended_ns = 2; /* /proc counts that time in: the namespace is that much older than it looks */
  CHECK_EQUAL(0, hami_reap(&living->region, &world_effects, self));
  world_suspended_ns = 0;
  CHECK_EQUAL(1, hami_reap(&living->region, &world_effects, self));
}

static void a_slot_half_taken_by_a_dead_process_is_freed(void) {
  begin();
  uint64_t *owner = hami_slot_owner(&living->region, 20);
  *owner = (uint64_t)HAMI_REGION_OWNER_CLAIMING << 56 | 99;
  CHECK_EQUAL(1, hami_reap(&living->region, &world_effects, &living->ledger.self->identity));
  CHECK_EQUAL(HAMI_REGION_OWNER_FREE, hami_owner_state(*owner));
}

int main(void) {
  RUN(a_dead_owner_s_charge_is_gone_within_a_second);
  RUN(a_request_finds_the_dead_before_it_is_refused);
  RUN(a_zombie_holds_nothing);
  RUN(another_process_with_the_same_pid_inherits_nothing);
  RUN(a_program_that_replaced_itself_starts_at_zero);
  RUN(a_living_process_s_slot_stays);
  RUN(a_process_taken_for_dead_counts_again_at_its_next_operation);
  RUN(a_restored_process_is_known_by_its_new_start);
  RUN(another_namespace_s_slots_go_when_silent_and_older_than_this_one);
  RUN(a_namespace_is_no_younger_for_a_machine_that_slept);
  RUN(a_slot_half_taken_by_a_dead_process_is_freed);
  world_free(living);
  world_free(dying);
  return 0;
}
