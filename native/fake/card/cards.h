/* The machine under card.c: which cards a process sees, and the one that a thread uses. */
#ifndef HAMI_FAKE_CARDS_H
#define HAMI_FAKE_CARDS_H

#include "common/state.h"

/* The machine's state, opened on the first call; NULL where its file cannot be used. */
struct fake_state *cards_state(void);

/* Index of the calling thread's card in the machine; -1 where no card is visible. */
int cards_device(void);

#endif
