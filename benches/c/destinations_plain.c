/*
 * The floor of a cycle over AMOUNT destinations: a hash map from the text to an object of the
 * destination, and a second object, the connection's; both are read and written, at the take and at
 * the give-back, by calls that are not inlined. The text is hashed and compared as a caller passes
 * it, NUL-terminated. No lock, no atomic, no clock, no handle, no descriptor: nothing but what a
 * keyed pool cannot do without. Open addressing at most half full, eight bytes of hash in the
 * table; each object a cache line of its own.
 */
#include "bench.h"
#include "destinations.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, ROOM = 2 * VISITS };

typedef struct {
    _Alignas(LINE) bool is_borrowed;
    uint64_t uses;
} conn;

typedef struct {
    _Alignas(LINE) char text[DESTINATION_SIZE];
    uint32_t idle;
    conn *last;
} node;

typedef struct {
    uint64_t hash;
    node *node;
} entry;

static conn conns[VISITS];
static node nodes[VISITS];
static entry table[ROOM];
static size_t mask;

/*
 * Eight bytes at a time, each by one folded multiplication, as the fast hashes of today do it; the
 * last eight may overlap.
 */
static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = length, word;
    for (size_t at = 0; at < length; at += sizeof word) {
        memcpy(&word, text + (length - at < sizeof word ? length - sizeof word : at), sizeof word);
        uint64_t mixed = hash ^ word ^ 0x9e3779b97f4a7c15u;
        __uint128_t product = (__uint128_t)mixed * 0xa0761d6478bd642fu;
        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return hash;
}

/* Where the text's entry is, or is to be. No text is shorter than eight bytes. */
static entry *entry_of(const char *text, uint64_t *hash)
{
    size_t length = strlen(text);
    *hash = hash_of(text, length);
    size_t at = *hash & mask;
    while (table[at].node != NULL &&
           (table[at].hash != *hash || memcmp(table[at].node->text, text, length + 1) != 0))
        at = (at + 1) & mask;
    return &table[at];
}

__attribute__((noinline)) static node *take(const char *text)
{
    uint64_t hash;
    node *found = entry_of(text, &hash)->node;
    if (found == NULL || found->idle == 0 || found->last->is_borrowed)
        fail("not idle");
    found->idle--;
    found->last->is_borrowed = true;
    found->last->uses++;
    return found;
}

__attribute__((noinline)) static void give(node *taken)
{
    taken->last->is_borrowed = false;
    taken->idle++;
}

static void cycles(uint64_t count)
{
    while (count-- > 0)
        give(take(next_destination()));
}

static void insert(uint32_t i)
{
    nodes[i].idle = 1;
    nodes[i].last = &conns[i];
    memcpy(nodes[i].text, destinations[i], DESTINATION_SIZE);
    uint64_t hash;
    entry *entry = entry_of(destinations[i], &hash);
    entry->hash = hash;
    entry->node = &nodes[i];
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"map", NULL};
    variant_of(argc, argv, variants);
    uint32_t amount = amount_of(argv);
    make_destinations(argv[1], amount);
    for (mask = 1; mask < 2 * amount; mask *= 2)
        ;
    mask--;
    for (uint32_t i = 0; i < amount; i++)
        insert(i);
    return answer_runs(cycles);
}
