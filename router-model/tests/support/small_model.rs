//! Transformers' stand-ins, written as ONNX files on the spot: as small as can be, with the interface of the large ones.
//! Also used by the gateway's tests.

#![allow(dead_code, reason = "each test needs a part")]

use std::path::Path;

/// Numbers of a token.
const WIDTH: usize = 64;

/// What is written.
#[derive(Clone)]
pub(crate) struct SmallModel<'a> {
    /// Words that have a row of their own.
    pub(crate) words: &'a [(&'a str, [f32; 2])],
    /// The numbers of heads, or none for a vector of each token.
    pub(crate) heads: Option<usize>,
    /// Multiplications that change nothing and take their time.
    pub(crate) rounds: usize,
    pub(crate) opset: u64,
    /// What the output is called.
    pub(crate) output: &'a str,
    pub(crate) input: &'a str,
}

impl<'a> SmallModel<'a> {
    /// A classifier: the mean of its words' numbers are the logits of two heads.
    pub(crate) fn classifier(words: &'a [(&'a str, [f32; 2])]) -> Self {
        Self { words, heads: Some(2), rounds: 0, opset: 17, output: "probabilities", input: "input_ids" }
    }

    /// An embedder: a text's vector is the mean of its pieces'.
    pub(crate) fn embedder() -> Self {
        Self { words: &[], heads: None, output: "last_hidden_state", ..Self::classifier(&[]) }
    }

    /// Writes the folder that an encoder reads.
    pub(crate) fn write(&self, folder: &Path) {
        let vocabulary = self.vocabulary();
        std::fs::write(folder.join("vocab.txt"), vocabulary.join("\n")).unwrap();
        std::fs::write(folder.join("model.onnx"), self.onnx(&vocabulary)).unwrap();
    }

    /// With these pieces any ASCII text can be cut.
    fn vocabulary(&self) -> Vec<String> {
        let mut all: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
        all.extend(self.words.iter().map(|(word, _)| (*word).to_owned()));
        for byte in b'!'..=b'~' {
            let letter = char::from(byte);
            if !letter.is_ascii_uppercase() {
                all.push(letter.to_string());
            }
            if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
                all.push(format!("##{letter}"));
            }
        }
        all
    }

    fn onnx(&self, vocabulary: &[String]) -> Vec<u8> {
        let mut graph = Proto::default();
        node(&mut graph, "Gather", &["table", self.input], "x0", &[]);
        for round in 0..self.rounds {
            node(&mut graph, "MatMul", &[&format!("x{round}"), "same"], &format!("x{}", round + 1), &[]);
        }
        let last = format!("x{}", self.rounds);
        match self.heads {
            None => node(&mut graph, "Identity", &[&last], self.output, &[]),
            Some(_) => {
                node(&mut graph, "ReduceMean", &[&last], "mean", &[("axes", &[1]), ("keepdims", &[0])]);
                node(&mut graph, "MatMul", &["mean", "pick"], "sums", &[]);
                node(&mut graph, "Sigmoid", &["sums"], self.output, &[]);
            }
        }
        graph.text(2, "small");
        graph.bytes(5, &tensor("table", &[vocabulary.len(), WIDTH], &self.table(vocabulary)));
        graph.bytes(5, &tensor("same", &[WIDTH, WIDTH], &diagonal(WIDTH)));
        if let Some(heads) = self.heads {
            graph.bytes(5, &tensor("pick", &[WIDTH, heads], &diagonal(heads)));
        }
        for input in [self.input, "attention_mask"] {
            graph.bytes(11, &value(input, 7, &["batch", "length"]));
        }
        let shape: &[&str] =
            if self.heads.is_some() { &["batch", "heads"] } else { &["batch", "length", "w"] };
        graph.bytes(12, &value(self.output, 1, shape));
        let mut opset = Proto::default();
        opset.number(2, self.opset);
        let mut model = Proto::default();
        model.number(1, 8);
        model.bytes(7, &graph.0);
        model.bytes(8, &opset.0);
        model.0
    }

    fn table(&self, vocabulary: &[String]) -> Vec<f32> {
        let mut table = Vec::with_capacity(vocabulary.len() * WIDTH);
        let mut state = 7_u64;
        for piece in vocabulary {
            let known = self.words.iter().find(|(word, _)| word == piece).map(|(_, logits)| logits);
            for at in 0..WIDTH {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let lot = f32::from(u16::try_from(state >> 48).unwrap()) / 65_536.0 - 0.5;
                table.push(match self.heads {
                    Some(_) => known.and_then(|logits| logits.get(at)).copied().unwrap_or(0.0),
                    None => lot,
                });
            }
        }
        table
    }
}

/// `WIDTH` rows of so many columns, with ones where both are equal.
fn diagonal(columns: usize) -> Vec<f32> {
    (0..WIDTH * columns).map(|at| if at / columns == at % columns { 1.0 } else { 0.0 }).collect()
}

/// A message of Protocol Buffers, field by field.
#[derive(Default)]
struct Proto(Vec<u8>);

impl Proto {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }
}

/// Appends a node; an attribute with one value is a number.
fn node(graph: &mut Proto, kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[u64])]) {
    let mut node = Proto::default();
    inputs.iter().for_each(|input| node.text(1, input));
    node.text(2, output);
    node.text(4, kind);
    for (name, values) in attributes {
        let mut attribute = Proto::default();
        attribute.text(1, name);
        let is_list = *name == "axes";
        values.iter().for_each(|value| attribute.number(if is_list { 8 } else { 3 }, *value));
        attribute.number(20, if is_list { 7 } else { 2 });
        node.bytes(5, &attribute.0);
    }
    graph.bytes(1, &node.0);
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut tensor = Proto::default();
    shape.iter().for_each(|size| tensor.number(1, *size as u64));
    tensor.number(2, 1);
    tensor.text(8, name);
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor.bytes(9, &raw);
    tensor.0
}

/// An input or output of an element type and with named sizes.
fn value(name: &str, kind: u64, sizes: &[&str]) -> Vec<u8> {
    let mut shape = Proto::default();
    for size in sizes {
        let mut dimension = Proto::default();
        dimension.text(2, size);
        shape.bytes(1, &dimension.0);
    }
    let mut tensor = Proto::default();
    tensor.number(1, kind);
    tensor.bytes(2, &shape.0);
    let mut kind = Proto::default();
    kind.bytes(1, &tensor.0);
    let mut value = Proto::default();
    value.text(1, name);
    value.bytes(2, &kind.0);
    value.0
}
