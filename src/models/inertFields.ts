// Fields of config.json that say nothing about what a causal language model computes from tokens: how it was saved, how transformers
// runs, prints and generates with it, heads of other tasks. A field that is in no list is refused (config.ts).

/** Of the file and of the software that wrote it. */
const origin = [
  "_name_or_path",
  "architectures",
  "auto_map",
  "dtype",
  "model_type",
  "torch_dtype",
  "transformers_version",
  "tokenizer_class"
]
const software = [
  "transformers.js_config",
  "is_llama_config",
  "unsloth_fixed",
  "unsloth_version",
  "use_cache",
  "cache_implementation",
  "_attn_implementation",
  "_attn_implementation_autoset",
  "_sliding_window_pattern",
  "attn_implementation",
  "chunk_size_feed_forward",
  "pretraining_tp",
  "return_dict",
  "return_dict_in_generate",
  "output_attentions",
  "output_hidden_states",
  "output_scores",
  "torchscript",
  "use_bfloat16",
  "tf_legacy_loss",
  "gradient_checkpointing",
  "max_sequence_length",
  "n_ctx"
]
/** Of generation (generation_config.json has them today). */
const generation = [
  "bad_words_ids",
  "begin_suppress_tokens",
  "decoder_start_token_id",
  "diversity_penalty",
  "do_sample",
  "early_stopping",
  "encoder_no_repeat_ngram_size",
  "exponential_decay_length_penalty",
  "forced_bos_token_id",
  "forced_eos_token_id",
  "length_penalty",
  "max_length",
  "max_new_tokens",
  "min_length",
  "no_repeat_ngram_size",
  "num_beam_groups",
  "num_beams",
  "num_return_sequences",
  "prefix",
  "remove_invalid_values",
  "repetition_penalty",
  "sep_token_id",
  "suppress_tokens",
  "task_specific_params",
  "temperature",
  "top_k",
  "top_p",
  "typical_p",
  "unk_token_id"
]
/** Of heads for classification and the like, which a causal language model does not have. */
const heads = [
  "finetuning_task",
  "id2label",
  "label2id",
  "num_labels",
  "problem_type",
  "classifier_dropout",
  "summary_activation",
  "summary_first_dropout",
  "summary_proj_to_labels",
  "summary_type",
  "summary_use_proj"
]

export const inertFields: ReadonlySet<string> = new Set([...origin, ...software, ...generation, ...heads])
