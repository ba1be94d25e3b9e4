#!/usr/bin/env python3
"""Streams of questions for `signalbox cache simulate`, as hostile as a cache can meet: every question has neighbours that differ
in one word and want another answer. Their templates, things and courtesies are in no test and in no lexicon on purpose.

    bench/streams.py FOLDER && signalbox cache simulate --stream FOLDER/strangers.jsonl
"""

import json
import pathlib
import random
import sys

FAMILIES = [
    (
        [
            "Who wrote {a}?",
            "Name the author of {a}.",
            "{a} was written by whom?",
            "Which writer is behind {a}?",
        ],
        {
            "a": ["Dracula", "Emma", "Ulysses", "Walden", "Candide", "Middlemarch", "Beloved", "Dune", "Persuasion", "Frankenstein", "Germinal", "Nostromo"],
        },
    ),
    (
        [
            "What is the boiling point of {a}?",
            "At which temperature does {a} boil?",
            "{a} boiling point",
            "When does {a} start to boil?",
        ],
        {
            "a": ["ethanol", "mercury", "acetone", "benzene", "toluene", "methanol", "glycerol", "bromine", "hexane", "ammonia"],
        },
    ),
    (
        [
            "How far is it from {a} to {b}?",
            "What is the distance from {a} to {b}?",
            "Distance {a} to {b}?",
            "How many kilometers lie between {a} and {b}?",
        ],
        {
            "a": ["Porto", "Bergen", "Graz", "Lyon", "Tampere", "Split"],
            "b": ["Riga", "Malmo", "Basel", "Cork", "Tartu", "Gdansk"],
        },
    ),
    (
        [
            "Convert {n} inches to centimeters.",
            "How many cm is {n} inches?",
            "{n} inches in cm?",
            "What is {n} inches expressed in centimetres?",
        ],
        {
            "n": ["3", "7", "9", "14", "22", "35", "60", "75"],
        },
    ),
    (
        [
            "How do I {x} the {a} plugin?",
            "What is the procedure to {x} the {a} plugin?",
            "Steps to {x} the {a} plugin, please.",
            "I'd like to {x} the {a} plugin. How?",
        ],
        {
            "x": ["mount", "unmount", "pin", "unpin"],
            "a": ["calendar", "billing", "chat", "gallery", "newsletter", "payroll"],
        },
    ),
    (
        [
            "Can I {x} a {a}?",
            "Am I allowed to {x} a {a}?",
            "Is it permitted to {x} a {a}?",
        ],
        {
            "x": ["lease", "sublet"],
            "a": ["flat in Utrecht", "garage in Leuven", "shop in Bruges", "loft in Aarhus", "office in Trieste"],
        },
    ),
    (
        [
            "Is it okay to drink {a} {x} surgery?",
            "May I have {a} {x} surgery?",
            "Drinking {a} {x} surgery: is that allowed?",
        ],
        {
            "x": ["before", "after"],
            "a": ["water", "kombucha", "black tea", "oat milk", "soda", "broth"],
        },
    ),
    (
        [
            "Write a haiku about {a} in {n} versions.",
            "Give me {n} versions of a haiku about {a}.",
            "Please compose {n} haiku versions on the topic of {a}.",
        ],
        {
            "n": ["2", "4", "6", "9"],
            "a": ["snow", "harbours", "moths", "granite", "bread", "silence"],
        },
    ),
    (
        [
            "What does error {n} mean in {a}?",
            "Explain error {n} of {a}.",
            "{a} error {n} meaning",
            "I get error {n} in {a}, what is it?",
        ],
        {
            "n": ["102", "305", "411", "518", "777"],
            "a": ["Photoshop", "Excel", "Blender", "Audacity", "Lightroom"],
        },
    ),
    (
        [
            "How do I reverse a {x} in {a}?",
            "What's the idiomatic way to reverse a {x} in {a}?",
            "Reversing a {x} in {a}, how?",
        ],
        {
            "x": ["string", "list", "map"],
            "a": ["Ruby", "Scala", "Kotlin", "Haskell", "Elixir", "Lua"],
        },
    ),
    (
        [
            "What is the half-life of {a}?",
            "{a} half-life",
            "How long is the half-life of {a}?",
        ],
        {
            "a": ["iodine-131", "cobalt-60", "caesium-137", "radon-222", "carbon-14", "tritium"],
        },
    ),
    (
        [
            "Summarise the minutes of {a} {n}.",
            "Give me a summary of the {a} {n} minutes.",
            "What was said in the minutes of {a} {n}? A summary will do.",
        ],
        {
            "a": ["March", "July", "October", "December"],
            "n": ["3", "8", "12", "19", "27"],
        },
    ),
    (
        [
            "Translate this {a} label from {b} to {c}.",
            "Render this {a} label from {b} into {c}, please.",
            "I need this {a} label translated from {b} to {c}.",
        ],
        {
            "a": ["wine", "medicine", "toy", "battery"],
            "b": ["Dutch", "Polish", "Greek"],
            "c": ["Dutch", "Polish", "Greek"],
        },
    ),
    (
        [
            "Does {a} contain gluten?",
            "Is there gluten in {a}?",
            "{a}: any gluten in it?",
            "Is {a} gluten-free?",
        ],
        {
            "a": ["couscous", "polenta", "soy sauce", "bulgur", "buckwheat", "quinoa", "malt", "farro"],
        },
    ),
    (
        [
            "Which vitamin is {x} in {a}?",
            "What vitamin do {a} have {x} amounts of?",
            "Vitamins {x} in {a}?",
        ],
        {
            "x": ["abundant", "scarce"],
            "a": ["carrots", "lentils", "oysters", "almonds", "kale", "eggs"],
        },
    ),
    (
        [
            "How can I {x} the brightness of my {a}?",
            "What's the way to {x} my {a}'s brightness?",
            "Make the brightness of my {a} {y}, how?",
        ],
        {
            "x": [("raise", "higher"), ("lower", "lower")],
            "a": ["monitor", "projector", "headlamp", "e-reader", "dashboard"],
        },
    ),
    (
        [
            "What was the unemployment rate of {a} in {n}?",
            "Tell me {a}'s unemployment rate for {n}.",
            "{a} {n} unemployment rate",
        ],
        {
            "a": ["Spain", "Norway", "Japan", "Chile", "Kenya"],
            "n": ["1998", "2003", "2009", "2015", "2021"],
        },
    ),
    (
        [
            "Why is {a} {x}?",
            "What makes {a} {x}?",
            "What are the reasons that {a} is {x}?",
        ],
        {
            "x": ["addictive", "harmless"],
            "a": ["caffeine", "sugar", "gambling", "shopping", "scrolling"],
        },
    ),
    (
        [
            "Sort these {a} from {x} to {y}.",
            "Put these {a} in order, {x} first.",
            "Order these {a} so that the {x} comes first.",
        ],
        {
            "x": [("cheapest", "priciest"), ("priciest", "cheapest"), ("lightest", "heaviest"), ("heaviest", "lightest")],
            "a": ["laptops", "tents", "bikes", "cameras", "sofas"],
        },
    ),
    (
        [
            "What is the phone number of the {a} branch?",
            "How can I call the {a} branch?",
            "{a} branch phone number?",
            "Give me the telephone number for the branch in {a}.",
        ],
        {
            "a": ["Leeds", "Derby", "Truro", "Luton", "Exeter", "Dover", "Hull", "Poole"],
        },
    ),
    (
        [
            "Did {a} lose to {b}?",
            "Was {a} beaten by {b}?",
            "Did {b} beat {a}?",
        ],
        {
            "a": ["Napoleon", "Wellington", "Hannibal", "Scipio", "Nelson", "Grant"],
            "b": ["Napoleon", "Wellington", "Hannibal", "Scipio", "Nelson", "Grant"],
        },
    ),
    (
        [
            "Should I {x} the update now?",
            "Is it wise to {x} the update now?",
            "Would you {x} the update now?",
        ],
        {
            "x": ["postpone", "apply", "skip", "force"],
        },
    ),
]

# Courtesies that the lexicon has, and those of strangers, which it has not.
USUAL = (["", "", "hi, ", "please ", "could you tell me: ", "quick question: "], ["", " thanks", " please"])
STRANGE = (
    ["", "", "", "hey team, ", "dumb question but ", "need this fast: ", "hoping you can help, ", "ok so ", "Hello! "]
    + ["Quick one - ", "pardon the basic question: ", "@bot "],
    ["", "", " ty!", " asap pls", " Any help is appreciated.", " Thanks a million!", " :)", " (for work)", " Much obliged."],
)


def question(chance):
    """Wordings, what fills them, and the name of the answer; None where both places are the same."""
    family = chance.randrange(len(FAMILIES))
    wordings, slots = FAMILIES[family]
    filled = {slot: chance.choice(words) for slot, words in slots.items()}
    name = f"{family}/" + "/".join(str(word) for word in filled.values())
    places = [filled[slot] for slot in "abc" if slot in filled]
    if len(set(places)) < len(places):
        return None
    if isinstance(filled.get("x"), tuple):
        filled["x"], filled["y"] = filled["x"]
    return wordings, filled, name


def misspelt(chance, text):
    """With two letters of a word exchanged."""
    words = text.split(" ")
    at = chance.randrange(len(words))
    word = words[at]
    if len(word) > 4 and word.isalpha():
        letter = chance.randrange(1, len(word) - 2)
        words[at] = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2 :]
    return " ".join(words)


def stream(seed, answers=290, courtesies=STRANGE, slope=0.0, lower=False, typos=0.0, wordings=9):
    """2,000 different requests over so many answers; `slope` makes some of them frequent."""
    chance = random.Random(seed)
    pool = {}
    for _ in range(100_000):
        found = question(chance)
        if found and len(pool) < answers:
            pool[found[2]] = found
    names = list(pool)
    weights = [1 / (rank + 1) ** slope for rank in range(len(names))]
    rows = {}
    for _ in range(100_000):
        texts, filled, name = pool[chance.choices(names, weights)[0]]
        text = chance.choice(texts[:wordings]).format(**filled)
        text = chance.choice(courtesies[0]) + text + chance.choice(courtesies[1])
        text = text.lower() if lower else text
        text = misspelt(chance, text) if chance.random() < typos else text
        rows.setdefault(text, name)
        if len(rows) == 2_000:
            break
    return [{"prompt": text, "answer": name} for text, name in rows.items()]


STREAMS = {
    "strangers": stream(1),
    "usual": stream(8, courtesies=USUAL),
    "usual-lower": stream(9, courtesies=USUAL, lower=True),
    "two-wordings": stream(7, wordings=2),
    "typos": stream(4, typos=0.15),
    "few": stream(5, answers=560),
    "unbalanced": stream(6, answers=400, slope=1.0),
    "strangers-lower": stream(3, lower=True),
}


def main():
    """Writes each into the folder."""
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in STREAMS.items():
        answers = len({row["answer"] for row in rows})
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
        print(f"{name}: {len(rows)} requests, {answers} answers, {100 - 100 * answers / len(rows):.1f} % could be hits")


if __name__ == "__main__":
    main()
