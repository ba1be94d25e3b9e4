use super::*;

fn guard(asked: &str, kept: &str) -> Result<Difference, Objection> {
    compare(&Signature::of(asked).unwrap(), &Signature::of(kept).unwrap(), Rules::default())
}

#[track_caller]
fn objects(asked: &str, kept: &str, objection: Objection) {
    assert_eq!(guard(asked, kept), Err(objection), "{asked} / {kept}");
    assert_eq!(guard(kept, asked), Err(objection), "{kept} / {asked}");
}

#[track_caller]
fn same(asked: &str, kept: &str) {
    assert_eq!(guard(asked, kept), Ok(Difference::default()), "{asked} / {kept}");
}

#[track_caller]
fn differs(asked: &str, kept: &str) {
    assert!(guard(asked, kept).is_ok_and(|difference| !difference.is_empty()), "{asked} / {kept}");
}

#[test]
fn chat_and_grammar_are_no_difference() {
    same("Hi! Could you tell me how to bake sourdough? Thanks a lot", "How do I bake sourdough");
    same("quick question: which cheeses melt well?", "Which cheese melts?");
    same("please Rename a branch", "hello, I was wondering: renaming branches, how?");
    same("Could you please summarise the report", "Summarize this report, thank you very much!");
    same("How do I turn on tethering?", "how can i enable tethering");
}

#[test]
fn numbers_must_be_the_same_with_their_units_and_order() {
    objects("Plan a trip of 5 days", "Plan a trip of 6 days", Objection::Numbers);
    objects("Write three haiku", "Write four haiku", Objection::Numbers);
    objects("Is 20 km far?", "Is 20 miles far?", Objection::Numbers);
    objects("Count from 3 to 9", "Count from 9 to 3", Objection::Numbers);
    objects("20 % of 50", "50 % of 20", Objection::Numbers);
    objects("schools with over 500 pupils", "schools with under 500 pupils", Objection::Numbers);
    objects("Write a haiku about 2 cats", "Write a haiku about cats", Objection::Numbers);
    same("Is 20 km far?", "Is twenty kilometres far?");
    same("a budget of $1,500", "a budget of 1500 dollars");
    same("two hundred and fifty recipes", "250 recipes");
    same("3 million people", "3,000,000 people");
}

#[test]
fn negation_turns_the_answer_round() {
    objects("Why is raw milk safe?", "Why is raw milk not safe?", Objection::Negation);
    objects("Which birds can fly?", "Which birds can't fly?", Objection::Negation);
    objects("Bake a cake with eggs", "Bake a cake without eggs", Objection::Negation);
}

#[test]
fn names_codes_and_things_of_one_kind_must_be_the_same() {
    objects("Who wrote Hamlet?", "Who wrote Macbeth?", Objection::Entity);
    objects("Explain the GDPR", "Explain the HIPAA", Objection::Entity);
    objects("Parse dates in C++", "Parse dates in C#", Objection::Entity);
    objects("Does gpt-4 do this", "Does gpt-3 do this", Objection::Numbers);
    objects("what is the capital of norway", "what is the capital of sweden", Objection::Kind);
    objects("weather on monday", "weather on friday", Objection::Kind);
    objects("when was it built", "where was it built", Objection::Kind);
    same("Who wrote Hamlet?", "who wrote hamlet");
    same("WHO WROTE HAMLET", "who wrote hamlet");
}

#[test]
fn a_request_behind_a_courtesy_nobody_knows_begins_with_no_name() {
    for opening in ["good people, ", "silly one but ", "(for my notes) ", "@helper ", "my boss asks: "] {
        differs(&format!("{opening}Translate this sign"), "translate this sign");
        differs(&format!("{opening}What does it cost?"), "what does it cost");
    }
    differs("what does it cost Any answer is welcome", "what does it cost");
    // Behind it, and in the request, a capital names something as ever.
    objects("good people, Who wrote Hamlet?", "good people, Who wrote Macbeth?", Objection::Entity);
    objects("show me what Sort does", "show me what Filter does", Objection::Entity);
    objects("is it cheaper in May", "is it cheaper in the park", Objection::Entity);
}

#[test]
fn opposites_are_other_questions_in_every_form() {
    objects("How do I mute the channel?", "How do I unmute the channel?", Objection::Opposite);
    objects("What is the highest waterfall?", "What is the lowest waterfall?", Objection::Opposite);
    objects("Encrypting a drive", "Decrypt a drive", Objection::Opposite);
    objects("turn off roaming", "enable roaming", Objection::Opposite);
    let open = Rules { opposites: false };
    let signature = |text| Signature::of(text).unwrap();
    assert!(compare(&signature("enable roaming"), &signature("disable roaming"), open).is_ok());
}

#[test]
fn the_same_things_in_other_roles_are_other_questions() {
    objects("flights from Oslo to Rome", "flights from Rome to Oslo", Objection::Direction);
    objects("Is tea better than coffee?", "Is coffee better than tea?", Objection::Direction);
    objects("stretch before running", "stretch after running", Objection::Direction);
    objects("translate it from danish to dutch", "translate it from dutch to danish", Objection::Direction);
    same("translate it to Danish", "Translate it into Danish");
    differs("Does the dog bite the man?", "Does the man bite the dog?");
}

#[test]
fn an_exchange_of_words_has_one_key_in_both_directions_and_for_all_texts() {
    let key = |asked, kept| guard(asked, kept).unwrap().key();
    let one = key("How many inhabitants does Peru have?", "How many citizens does Peru have?");
    assert_eq!(one, key("How many citizens does Chile have?", "How many inhabitants does Chile have?"));
    assert_ne!(one, key("How many dogs does Chile have?", "How many citizens does Chile have?"));
    let noise = key("feed a hedgehog", "feed a hungry hedgehog");
    assert_eq!(noise, key("pet a hungry cat", "pet a cat"));
}
