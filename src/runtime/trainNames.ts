// How the inputs and outputs of training graphs are called.
/** Besides the parameters' own names. */
export const names = {
  ids: "input_ids",
  positions: "positions",
  within: "within",
  segments: "segments",
  targets: "targets",
  weights: "weights",
  scale: "scale",
  nll: "nll",
  gradient: (parameter: string): string => `gradient.${parameter}`
}
