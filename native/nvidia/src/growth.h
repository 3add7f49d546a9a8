/*
 * Memory that the driver takes of its own accord: code that is loaded after the context was made, at once or at a
 * function's first launch, local memory for kernels with large frames, the heap of device code, the part of its last
 * block that an allocation leaves unused, and memory of a process that died while this one still maps it. No call says
 * how much. So what NVML says this process holds is compared with what it is charged, and the difference is charged
 * as part of its contexts. It is never refused, since the driver has taken it by then: the next allocation is.
 *
 * A comparison costs a call of NVML, so it happens at calls that are slow anyway, and takes no more than a fiftieth of
 * the time. It charges too little rather than too much: whatever may be counted elsewhere is taken to be. A question
 * that NVML does not answer changes nothing. Process-local, no waiting; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_GROWTH_H
#define HAMI_NVIDIA_GROWTH_H

#include <stdbool.h>

/* A context of this process exists on a device, or has ended. The last one takes all that was found with it. */
void hami_growth_context_made(int device);
void hami_growth_context_ended(int device);

/* The driver may just have taken memory, or given some back; the next question is answered with a comparison. */
#define HAMI_GROWTH_MORE 1U
#define HAMI_GROWTH_LESS 2U
void hami_growth_expect(unsigned int changes);

/* Compares what is due for it. Before an allocation, and after synchronising. */
void hami_growth_check(void);

/* The same for who wants to know exactly: at every question for memory figures, as far as the time allows. */
void hami_growth_look(void);

/* Before a refusal: true when less is charged now. */
bool hami_growth_reclaim(void);

/* This driver lists imported memory with whoever imports it: from now on growth cannot be told from that. */
void hami_growth_blur(void);

void hami_growth_after_fork_in_child(void);

#endif
