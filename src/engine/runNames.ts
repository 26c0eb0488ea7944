// Names for runs: two words that are easy to say and type, taken by a number that counts up.
const adjectives =
  "calm bold warm dry swift quiet bright keen mild brave clear crisp deft fair fond glad grand green happy jolly kind light lucky merry neat noble plain proud quick ready rich round sharp shy silent sleek smart smooth soft solid spry steady still sunny sure tame tidy tough true vivid wise witty young".split(
    " "
  )
const animals =
  "ibis hare lynx newt crow otter heron finch robin wren seal crane dove eagle falcon gecko goose hawk jay kite koala lark lemur llama mole moth mouse mule owl panda perch pike pony quail rabbit raven salmon shark sheep shrew skunk sloth snail snake stork swan tiger toad trout tuna viper whale wolf yak zebra".split(
    " "
  )

/** The n-th name (0, 1, 2 …): every pair of words once, then with a number behind. */
export const runName = (n: number): string => {
  const pairs = adjectives.length * animals.length
  // Steps of a prime go through all pairs, and neighbours share no word.
  const i = (n * 1009) % pairs
  const name = `${adjectives[i % adjectives.length]}-${animals[Math.floor(i / adjectives.length)]}`
  return n < pairs ? name : `${name}-${Math.floor(n / pairs) + 1}`
}
