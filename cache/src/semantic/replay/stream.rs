//! A stream of questions for tests, as hostile as a cache can meet: every question has neighbours that differ in one
//! word and want another answer, and honest rewordings that share hardly a word. Templates, slots and chat are its own.

/// A question and the name of its answer.
#[derive(Clone, Debug)]
pub(in crate::semantic) struct Question {
    pub(in crate::semantic) prompt: String,
    pub(in crate::semantic) answer: String,
}

/// Wordings of one question; `{a}` and `{b}` are slots, `{x}` takes one of the opposites.
struct Family {
    wordings: &'static [&'static str],
    opposites: &'static [&'static str],
    first: &'static [&'static str],
    second: &'static [&'static str],
}

const CITIES: &[&str] =
    &["Lisbon", "Oslo", "Nairobi", "Quito", "Hanoi", "Perth", "Leeds", "Turin", "Ghent", "Izmir"];
const THINGS: &[&str] = &[
    "the dishwasher",
    "a tent",
    "my bicycle",
    "the sourdough starter",
    "an aquarium",
    "the lawn mower",
    "a violin",
    "the espresso machine",
    "a terrarium",
    "the sewing machine",
];
const INVENTIONS: &[&str] = &[
    "zipper",
    "stapler",
    "periscope",
    "barometer",
    "typewriter",
    "parachute",
    "thermos",
    "sextant",
    "abacus",
];
const COUNTS: &[&str] = &["2", "3", "5", "8", "12", "20", "45", "100"];
const PEOPLE: &[&str] =
    &["Plato", "Aristotle", "Haydn", "Beethoven", "Freud", "Jung", "Husserl", "Heidegger"];

const FAMILIES: &[Family] = &[
    Family {
        wordings: &[
            "Find flights from {a} to {b}",
            "Which planes go from {a} to {b}?",
            "I need a plane ticket from {a} to {b}",
            "Flying from {a} to {b}: what are the options?",
        ],
        opposites: &[""],
        first: CITIES,
        second: CITIES,
    },
    Family {
        wordings: &[
            "How do I {x} {a}?",
            "Explain to a beginner how to {x} {a}",
            "What is the correct procedure to {x} {a}?",
            "I have to {x} {a}, where do I begin?",
        ],
        opposites: &["assemble", "dismantle", "winterize", "descale"],
        first: THINGS,
        second: &[""],
    },
    Family {
        wordings: &[
            "Who invented the {a}?",
            "Name the inventor of the {a}",
            "The {a} was whose invention?",
            "which person came up with the idea of the {a}",
        ],
        opposites: &[""],
        first: INVENTIONS,
        second: &[""],
    },
    Family {
        wordings: &[
            "Write a poem of {a} lines about {b}",
            "Compose {a} lines of verse on {b}",
            "Give me a {a} line poem whose subject is {b}",
        ],
        opposites: &[""],
        first: COUNTS,
        second: &["autumn leaves", "a lost glove", "the tide", "old maps", "rust"],
    },
    Family {
        wordings: &[
            "What is the {x} of {a}?",
            "Look up the {x} for {a}",
            "{a} {x}",
            "Which {x} does {a} have?",
        ],
        opposites: &["latitude", "longitude", "elevation", "dialling code"],
        first: CITIES,
        second: &[""],
    },
    Family {
        wordings: &[
            "Should I stretch {x} {a}?",
            "Is stretching {x} {a} a good idea?",
            "Does it make sense to stretch {x} {a}?",
        ],
        opposites: &["before", "after"],
        first: &["rowing", "a marathon", "yoga", "weightlifting", "a long hike", "fencing"],
        second: &[""],
    },
    Family {
        wordings: &[
            "Did {a} influence {b}?",
            "Was {b} influenced by {a}?",
            "Tell me whether {a} had an influence on {b}",
        ],
        opposites: &[""],
        first: PEOPLE,
        second: PEOPLE,
    },
    Family {
        wordings: &[
            "Can {a} be stored {x} a lid?",
            "Is it fine to keep {a} {x} a lid?",
            "Storing {a} {x} a lid, is that possible?",
        ],
        opposites: &["with", "without"],
        first: &["kimchi", "miso", "olives", "tahini", "chutney", "ghee", "capers"],
        second: &[""],
    },
    Family {
        wordings: &["Is the {a} a {x}?", "Does the {a} count as a {x}?", "{a}: {x}, yes or no?"],
        opposites: &["herbivore", "omnivore", "marsupial", "monotreme"],
        first: &["tapir", "okapi", "quokka", "wombat", "echidna", "peccary", "numbat"],
        second: &[""],
    },
];

const OPENINGS: &[&str] =
    &["", "", "", "hey folks, ", "urgent: ", "for my homework, ", "one more thing: ", "so, ", "yo "];
const ENDINGS: &[&str] = &["", "", "", " cheers", " asap", " thank u", " it matters to me", " pretty please"];

/// The stream of a seed: `length` different questions in an order of chance.
pub(in crate::semantic) fn stream(seed: u64, length: usize) -> Vec<Question> {
    let mut state = seed;
    let mut roll = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    let mut questions: Vec<Question> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    while questions.len() < length {
        let family_at = roll(FAMILIES.len());
        let family = &FAMILIES[family_at];
        let pick = |list: &[&'static str], at: usize| list[at % list.len()];
        let (x, a, b) =
            (pick(family.opposites, roll(64)), pick(family.first, roll(64)), pick(family.second, roll(64)));
        if a == b {
            continue;
        }
        let wording = pick(family.wordings, roll(64));
        let filled = wording.replace("{x}", x).replace("{a}", a).replace("{b}", b);
        let prompt = format!("{}{filled}{}", pick(OPENINGS, roll(64)), pick(ENDINGS, roll(64)));
        if seen.insert(prompt.clone()) {
            questions.push(Question { prompt, answer: format!("{family_at}/{x}/{a}/{b}") });
        }
    }
    questions
}
