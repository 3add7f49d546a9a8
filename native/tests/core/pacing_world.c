#include "pacing_world.h"

#define MOST_PROCESSES 128
#define LAUNCH_COST_NS (4 * US)
#define OVERSLEEP_NS (60 * US) /* what nanosleep adds */

struct worker workers[MOST_PROCESSES];
uint32_t worker_count;
static uint64_t device_free_ns;
uint64_t horizon_ns;

static void settle_finished(struct worker *worker) {
  while (worker->count > 0 && worker->flight[worker->head].end_ns <= world_now_ns) {
    hami_pacing_settle(&worker->process->pacing, 0, worker->flight[worker->head].charged_ns, worker->kernel_ns, 1);
    worker->head = (worker->head + 1) % MOST_IN_FLIGHT;
    worker->count--;
    worker->measured = true;
  }
}

static void run_kernel(struct worker *worker, uint64_t window_end) {
  uint64_t start = device_free_ns > world_now_ns ? device_free_ns : world_now_ns;
  uint64_t end = start + worker->kernel_ns;
  device_free_ns = end;
  window_end = window_end > horizon_ns ? window_end : horizon_ns;
  if (start < window_end) {
    worker->busy_ns += (end < window_end ? end : window_end) - start;
  }
  worker->flight[(worker->head + worker->count) % MOST_IN_FLIGHT] =
      (struct kernel){.end_ns = end, .charged_ns = worker->launch.charged_ns};
  worker->count++;
}

/* One step of one worker at the present moment. */
static void step(struct worker *worker, uint64_t window_end) {
  struct hami_pacing *pacing = &worker->process->pacing;
  world_act(worker->process);
  settle_finished(worker);
  if (!worker->asking) {
    if (worker->count == worker->depth) {
      worker->wake_ns = worker->flight[worker->head].end_ns;
      return;
    }
    uint64_t estimate = worker->knows && worker->measured ? worker->kernel_ns : 0;
    hami_pacing_enqueue(pacing, 0, estimate, world_now_ns, &worker->launch);
    worker->asking = true;
  }
  uint64_t rest = hami_pacing_remaining(pacing, &worker->launch, world_now_ns);
  if (rest > 0) {
    worker->wake_ns = world_now_ns + rest + OVERSLEEP_NS;
    return;
  }
  worker->asking = false;
  run_kernel(worker, window_end);
  worker->wake_ns = world_now_ns + LAUNCH_COST_NS;
}

void simulate(uint64_t duration_ns) {
  uint64_t window_end = world_now_ns + duration_ns;
  for (;;) {
    struct worker *next = &workers[0];
    for (uint32_t i = 1; i < worker_count; i++) {
      next = workers[i].wake_ns < next->wake_ns ? &workers[i] : next;
    }
    if (next->wake_ns >= window_end) {
      break;
    }
    world_now_ns = next->wake_ns;
    step(next, window_end);
  }
  world_now_ns = window_end;
}

void write_limits(const char *name, const char *line) {
  char text[1024];
  (void)snprintf(text, sizeof text, "hami-limits 1\nregion %s-region\n%s\n", world_path(name), line);
  world_write(name, text);
  world_limits = name;
}

void clear_workers(void) {
  for (uint32_t i = 0; i < worker_count; i++) {
    world_free(workers[i].process);
  }
  worker_count = 0;
}

void begin(const char *line) {
  clear_workers();
  world_begin();
  device_free_ns = 0;
  horizon_ns = 0;
  write_limits("a", line);
}

struct worker *add_worker(uint64_t kernel_ns, uint32_t depth, bool knows) {
  struct worker *worker = &workers[worker_count];
  *worker = (struct worker){.process = world_process(100 + worker_count),
                            .wake_ns = world_now_ns,
                            .kernel_ns = kernel_ns,
                            .depth = depth,
                            .knows = knows};
  worker_count++;
  return worker;
}

uint64_t used(uint32_t first, uint32_t last, uint64_t duration_ns) {
  uint64_t sum = 0;
  for (uint32_t i = first; i < last; i++) {
    sum += workers[i].busy_ns;
  }
  return sum / (duration_ns / 10000);
}

const char *share(uint32_t percent) {
  static char line[256];
  (void)snprintf(line, sizeof line, "core-policy force\ndevice " WORLD_GPU_0 " core_percent=%u", percent);
  return line;
}
