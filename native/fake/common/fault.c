#include "fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_RULES 64

enum action { ACTION_CODE, ACTION_HANG, ACTION_CRASH, ACTION_DELAY };

struct rule {
  char name[64];
  unsigned long first; /* call number, from 1 */
  bool onward;         /* this call and all later ones */
  enum action action;
  long value; /* error code, or milliseconds */
  unsigned long calls;
};

int fake_fault_armed = -1;

static struct rule rules[MAX_RULES];
static int rule_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool parse_action(const char *text, struct rule *rule) {
  char *end = NULL;
  if (strcmp(text, "hang") == 0) {
    rule->action = ACTION_HANG;
    return true;
  }
  if (strcmp(text, "crash") == 0) {
    rule->action = ACTION_CRASH;
    return true;
  }
  bool delay = strncmp(text, "delay:", 6) == 0;
  const char *digits = delay ? text + 6 : text;
  rule->action = delay ? ACTION_DELAY : ACTION_CODE;
  rule->value = strtol(digits, &end, 10);
  const char *first = !delay && digits[0] == '-' ? digits + 1 : digits; /* some vendors' codes are negative */
  return first[0] >= '0' && first[0] <= '9' && *end == '\0' && rule->value <= 1000000 && rule->value >= -1000000;
}

/* name[@k[+]]=action; without @k every call, with @k the k-th, with @k+ the k-th and all after it. */
static bool parse_rule(char *text, struct rule *rule) {
  char *action = strchr(text, '=');
  if (action == NULL) {
    return false;
  }
  *action++ = '\0';
  char *at = strchr(text, '@');
  rule->first = 1;
  rule->onward = at == NULL;
  if (at != NULL) {
    char *end = NULL;
    *at++ = '\0';
    rule->first = strtoul(at, &end, 10);
    rule->onward = *end == '+';
    if (at[0] < '0' || at[0] > '9' || rule->first == 0 || end[rule->onward] != '\0') {
      return false;
    }
  }
  if (text[0] == '\0' || strlen(text) >= sizeof rule->name) {
    return false;
  }
  snprintf(rule->name, sizeof rule->name, "%s", text);
  return parse_action(action, rule);
}

static void read_rules(void) {
  const char *configured = getenv("HAMI_FAKE_FAULTS");
  char *text = configured == NULL ? NULL : strdup(configured);
  char *rest = NULL;
  for (char *part = text == NULL ? NULL : strtok_r(text, ",; \n", &rest); part != NULL;
       part = strtok_r(NULL, ",; \n", &rest)) {
    char shown[96];
    snprintf(shown, sizeof shown, "%s", part);
    if (rule_count < MAX_RULES && parse_rule(part, &rules[rule_count])) {
      rule_count++;
    } else {
      fprintf(stderr, "hami fake driver: HAMI_FAKE_FAULTS: ignoring '%s'; want name[@k[+]]=code|hang|crash|delay:MS\n",
              shown);
    }
  }
  free(text);
  __atomic_store_n(&fake_fault_armed, rule_count > 0, __ATOMIC_RELEASE);
}

static void pause_for(long milliseconds) {
  struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {
  }
}

bool fake_fault_hits(const char *name, int *code) {
  pthread_once(&once, read_rules);
  for (int i = 0; i < rule_count; i++) {
    struct rule *rule = &rules[i];
    if (strcmp(rule->name, name) != 0) {
      continue;
    }
    unsigned long call = __atomic_add_fetch(&rule->calls, 1, __ATOMIC_RELAXED);
    if (rule->onward ? call < rule->first : call != rule->first) {
      continue;
    }
    switch (rule->action) {
    case ACTION_CODE:
      *code = (int)rule->value;
      return true;
    case ACTION_DELAY:
      pause_for(rule->value);
      break;
    case ACTION_CRASH:
      raise(SIGSEGV);
      break;
    case ACTION_HANG:
    default:
      for (;;) {
        pause();
      }
    }
  }
  return false;
}
