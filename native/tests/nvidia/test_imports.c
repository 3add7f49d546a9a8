/*
 * Memory that two processes hold: its maker is charged for it and nobody else, and once the maker is gone whoever
 * still holds it is. Run inside a share of 1000 MiB. Arguments: how the memory is handed over (fd or ipc), and by whom:
 * a process of the share, or one "outside" of it, which is not limited.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define BYTES (300 * MIB)
#define PATIENCE_MS 20000U

extern char **environ;

static bool by_fd;
static bool outside;
static bool listed; /* this driver lists imports with the importer, too */

/* ---- the maker ------------------------------------------------------------------------------------------------ */

static void send_fd(int channel, int fd) {
  char nothing = 0;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {{0}};
  struct iovec data = {.iov_base = &nothing, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
  control.header =
      (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  CHECK_EQUAL(1, sendmsg(channel, &message, 0));
}

static int receive_fd(int channel) {
  char nothing;
  int fd;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec data = {.iov_base = &nothing, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
  CHECK_EQUAL(1, recvmsg(channel, &message, 0));
  CHECK_EQUAL(SCM_RIGHTS, control.header.cmsg_type);
  memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
  return fd;
}

static void await(int channel) {
  char nothing;
  CHECK_EQUAL(1, read(channel, &nothing, 1));
}

static void signal_to(int channel) { CHECK_EQUAL(1, write(channel, "", 1)); }

/* Makes memory, hands it over, gives it up when told to, and stays until it is killed. */
static void make(int channel) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)share_open();
  if (by_fd) {
    CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                 .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemGenericAllocationHandle handle;
    int fd;
    CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&handle, BYTES, &props, 0));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    send_fd(channel, fd);
    await(channel);
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  } else {
    CUdeviceptr pointer;
    CUipcMemHandle handle;
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, BYTES));
    CHECK_EQUAL(CUDA_SUCCESS, cuIpcGetMemHandle(&handle, pointer));
    CHECK_EQUAL(sizeof handle, write(channel, &handle, sizeof handle));
    await(channel);
    CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  }
  signal_to(channel);
  for (;;) {
    (void)pause();
  }
}

/* A new program, so that it may be one without limits. */
static pid_t start_maker(int *channel) {
  int ends[2];
  char number[16];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  (void)snprintf(number, sizeof number, "%d", ends[1]);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(close(ends[0]) == 0);
    if (outside) {
      (void)unsetenv("LD_PRELOAD");
    }
    (void)execl("/proc/self/exe", "nvidia_test_imports", by_fd ? "fd" : "ipc", "make", number, (char *)NULL);
    _exit(1);
  }
  CHECK(close(ends[1]) == 0);
  *channel = ends[0];
  return pid;
}

/* ---- the importer --------------------------------------------------------------------------------------------- */

static uint64_t imported; /* handle or address */

static void import(int channel) {
  if (by_fd) {
    int fd = receive_fd(channel);
    CHECK_EQUAL(CUDA_SUCCESS,
                cuMemImportFromShareableHandle((CUmemGenericAllocationHandle *)&imported, (void *)(intptr_t)fd,
                                               CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    CHECK(close(fd) == 0);
  } else {
    CUipcMemHandle handle;
    CHECK_EQUAL(sizeof handle, read(channel, &handle, sizeof handle));
    CHECK_EQUAL(CUDA_SUCCESS, cuIpcOpenMemHandle_v2((CUdeviceptr *)&imported, handle, 1));
  }
}

static void drop(void) { CHECK_EQUAL(CUDA_SUCCESS, by_fd ? cuMemRelease(imported) : cuIpcCloseMemHandle(imported)); }

static void expect_used(uint64_t bytes) {
  for (unsigned int i = 0; i < PATIENCE_MS && share_used() != bytes; i++) {
    (void)usleep(1000);
  }
  CHECK_EQUAL(bytes, share_used());
}

static uint64_t on_the_card(void) { return hami_fake_used_bytes(0, 0); }

static void end(pid_t maker, int channel) {
  CHECK(kill(maker, SIGKILL) == 0);
  CHECK(waitpid(maker, NULL, 0) == maker);
  CHECK(close(channel) == 0);
}

static void memory_is_charged_to_its_maker_and_then_to_whoever_still_holds_it(bool killed) {
  int channel;
  CUdeviceptr rest;
  uint64_t before = share_used();
  pid_t maker = start_maker(&channel);
  import(channel);
  uint64_t makers_context = hami_fake_used_bytes(maker, 0) - BYTES;
  uint64_t shown = before + (outside ? 0 : makers_context + BYTES);
  CHECK_EQUAL(shown, share_used());
  (void)usleep(300000); /* longer than a comparison is put off */
  CHECK_EQUAL(shown, share_used());
  if (killed) {
    end(maker, channel);
    makers_context = 0;
  } else {
    signal_to(channel);
    await(channel);
  }
  uint64_t others = outside ? 0 : makers_context;
  if (listed) {
    drop(); /* no driver tells growth from imports then: it is not charged, and nothing is charged twice */
    expect_used(before + others);
  } else {
    CHECK_EQUAL(before + makers_context + BYTES, on_the_card());
    expect_used(before + others + BYTES);
    /* What it holds is nothing that it could have besides its share. */
    CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&rest, 1000 * MIB - before - others - BYTES + MIB));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&rest, 1000 * MIB - before - others - BYTES));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(rest));
    drop();
    expect_used(before + others);
    CHECK_EQUAL(before + makers_context, on_the_card());
  }
  if (!killed) {
    end(maker, channel);
    expect_used(before);
  }
}

int main(int count, char **arguments) {
  CHECK(count >= 2);
  by_fd = strcmp(arguments[1], "fd") == 0;
  if (count == 4 && strcmp(arguments[2], "make") == 0) {
    make(atoi(arguments[3]));
  }
  outside = count > 2 && strcmp(arguments[2], "outside") == 0;
  listed = getenv("HAMI_FAKE_IMPORTS") != NULL;
  (void)share_open();
  memory_is_charged_to_its_maker_and_then_to_whoever_still_holds_it(true);
  memory_is_charged_to_its_maker_and_then_to_whoever_still_holds_it(false);
  return 0;
}
