#pragma once

#include "text/bpe_model.h"
#include "text/sentencepiece_model.h"

namespace distill::text::detail {

/// Whether our own BPE gives what the library gives: a BPE model without a normalizer's table, and
/// with none of the kinds of pieces and settings that are rare.
bool is_plain_bpe(const SentencePieceModel& model);

/// The model as merges: two neighbours merge when together they are a piece, the best score first
/// (Kudo, Richardson, "SentencePiece", 2018).
BpeParts to_bpe(const SentencePieceModel& model);

}  // namespace distill::text::detail
