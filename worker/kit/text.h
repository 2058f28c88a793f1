/* text.h: Unicode text (words, sentences, syllables, character classes) for components, which include only
 * component.h and the kit. */
#ifndef MR_WORKER_KIT_TEXT_H
#define MR_WORKER_KIT_TEXT_H

#include "common/text.h"

#endif
