//! A text as the tokens that a model was trained on.

use std::path::Path;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Model, Tokenizer, TruncationParams};

use super::{EncoderFault, read};

/// Hardly a text has longer tokens on the average; what comes after so much of it is beyond the last token that counts.
const TOKEN_BYTES: usize = 12;
/// Fewer leave no room beside those that begin and end every text.
const LEAST_TOKENS: usize = 8;

/// A tokenizer and its limit.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    most: usize,
}

impl Tokens {
    /// The tokenizer of a folder.
    pub(super) fn open(folder: &Path, most: usize) -> Result<Self, EncoderFault> {
        let bad = |problem: String| EncoderFault::Tokenizer { folder: folder.to_owned(), problem };
        let path = folder.join("tokenizer.json");
        let vocabulary = folder.join("vocab.txt");
        let mut tokenizer = if !path.is_file() && vocabulary.is_file() {
            of_vocabulary(&vocabulary).map_err(bad)?
        } else {
            Tokenizer::from_bytes(read(&path)?).map_err(|problem| bad(problem.to_string()))?
        };
        let most = most.max(LEAST_TOKENS);
        let cut = TruncationParams { max_length: most, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(|problem| bad(problem.to_string()))?;
        // Texts run one by one: what fills them up would only cost time.
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, most })
    }

    /// More of a text need not be kept.
    pub(super) fn longest_bytes(&self) -> usize {
        self.most * TOKEN_BYTES
    }

    /// The numbers of a text's tokens.
    pub(super) fn of(&self, text: &str) -> Result<Vec<i64>, String> {
        // What it says of the problem may quote the text, which no log may have.
        let cut = self.tokenizer.encode_fast(text, true);
        let encoding = cut.map_err(|_| "its tokenizer cannot cut the text".to_owned())?;
        Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
    }
}

/// As BERT's uncased models cut texts: each line is a piece, its number the line's.
fn of_vocabulary(path: &Path) -> Result<Tokenizer, String> {
    let model = WordPiece::from_file(&path.to_string_lossy()).unk_token("[UNK]".to_owned()).build();
    let model = model.map_err(|problem| problem.to_string())?;
    let number = |piece: &str| {
        let id = model.token_to_id(piece).ok_or_else(|| format!("vocab.txt has no line {piece}"))?;
        Ok::<_, String>((piece.to_owned(), id))
    };
    let processing = BertProcessing::new(number("[SEP]")?, number("[CLS]")?);
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::default()))
        .map_err(|problem| problem.to_string())?
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(processing));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhow\nmany\npeople\n##s\n?\n.\n";

    #[test]
    fn a_vocabulary_alone_cuts_texts_as_bert_does_and_no_more_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), LINES).unwrap();
        let tokens = Tokens::open(folder.path(), 10).unwrap();
        assert_eq!(tokens.of("How MÁNY peoples?").unwrap(), [2, 4, 5, 6, 7, 8, 3]);
        assert_eq!(tokens.of("zebra").unwrap(), [2, 1, 3]);
        let long = tokens.of(&"many ".repeat(50)).unwrap();
        assert_eq!((long.len(), long.first(), long.last()), (10, Some(&2), Some(&3)));
    }

    #[test]
    fn a_folder_without_a_tokenizer_that_works_says_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Tokens::open(folder.path(), 10).unwrap_err().to_string();
        assert!(missing.contains("tokenizer.json") && missing.contains("fetch-minilm"), "{missing}");
        std::fs::write(folder.path().join("vocab.txt"), "how\nmany\n").unwrap();
        let poor = Tokens::open(folder.path(), 10).unwrap_err().to_string();
        assert!(poor.contains("[SEP]"), "{poor}");
        std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
        assert!(matches!(Tokens::open(folder.path(), 10), Err(EncoderFault::Tokenizer { .. })));
    }
}
