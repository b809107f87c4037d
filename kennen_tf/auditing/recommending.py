"""What an owner may do: the defences that nothing beats, and one of them in words."""

from collections.abc import Sequence

from kennen_tf.auditing.attackers import AWARE
from kennen_tf.auditing.audits import Audit, Tried
from kennen_tf.evaluation.printing import percent

# A defence that changes more labels than that is not recommended, and one that leaves
# more than this share of the leak does too little to be. Set beforehand, not chosen on
# anything that is reported.
MOST_FLIPPED = 0.005
ENOUGH = 0.5


def find_front(tried: Sequence[Tried]) -> list[Tried]:
    """Returns the defences that none beats in both, the cheapest first.

    The cost is the L1 distance of answers, what is left is the headline's bits.
    """
    front: list[Tried] = []
    ordered = sorted(tried, key=lambda own: (own.cost.l1, own.worst.total.bits))
    for own in ordered:
        if not front or own.worst.total.bits < front[-1].worst.total.bits:
            front.append(own)
    return front


def recommend(audit: Audit) -> tuple[str, str]:
    """Returns two sentences: what to do, and what that rests on."""
    plain, *others = audit.tried
    before = plain.worst.total
    if not others:
        return (
            f"No defence was tried: answers as they are give away {before.bits:.1f} "
            f"of {before.entropy:.1f} bits, of classifiers held out.",
            "Name some with --defences to learn what hides them, and at which cost.",
        )
    if before.interval[0] <= 0:
        return (
            "No defence is needed against this attacker: of classifiers held out, "
            f"answers as they are give away {before.bits:.1f} bits of "
            f"{before.entropy:.1f}, which may be nothing (95% interval "
            f"{before.interval[0]:.1f} to {before.interval[1]:.1f}).",
            "Another zoo, nearer to the classifier or larger, may tell more.",
        )
    gentle = [own for own in others if own.cost.flipped <= MOST_FLIPPED]
    # What differs by chance is not a gain.
    helping = [own for own in gentle if own.worst.total.interval[1] < before.bits]
    if not helping:
        return (
            "None of the defences tried can be recommended: those that change at most "
            f"{percent(MOST_FLIPPED)}% of the labels leave the {before.bits:.1f} bits "
            "as they are, within what chance explains.",
            _say_strongest(audit, "What hides most is {}"),
        )
    enough = [
        own for own in helping if own.worst.total.bits <= ENOUGH * max(before.bits, 0)
    ]
    if enough:
        best = min(enough, key=lambda own: own.cost.l1)
    else:
        best = min(helping, key=lambda own: own.worst.total.bits)
    left = best.worst.total
    first = (
        f"Answer with {best.name}: to the worse attacker it leaves {left.bits:.1f} "
        f"(95% interval {left.interval[0]:.1f} to {left.interval[1]:.1f}) of "
        f"{before.bits:.1f} bits, moves answers by {best.cost.l1:.3f} of at most 2 "
        f"(L1) and changes {percent(best.cost.flipped)}% of the labels."
    )
    unaware, aware = best.find("unaware"), best.find(AWARE)
    second = ""
    if unaware is not None and aware is not None:
        second = (
            f"Who does not know of it learns {unaware.total.bits:.1f} bits, who does "
            f"{aware.total.bits:.1f}; " + _say_strongest(audit, "what hides most is {}")
        )
    return first, second


def _say_strongest(audit: Audit, form: str) -> str:
    strongest = min(audit.tried, key=lambda own: own.worst.total.bits)
    return form.format(
        f"{strongest.name}, {strongest.worst.total.bits:.1f} bits for an L1 of "
        f"{strongest.cost.l1:.3f} and {percent(strongest.cost.flipped)}% of the labels."
    )
