// Texts to begin with, written for this page.

export const EXAMPLES = [
  {
    id: "statins.txt",
    text: `Atorvastatin and the risk of myopathy in patients with familial hypercholesterolemia

Statins lower LDL cholesterol by inhibiting HMG-CoA reductase. We followed 412 adults with familial hypercholesterolemia, most of them carriers of a mutation in LDLR or APOB, who took atorvastatin with or without ezetimibe for two years. Myalgia was reported by 9 % and rhabdomyolysis by one patient, who had also received clarithromycin for pneumonia. A variant of SLCO1B1 raised the risk of statin-induced myopathy threefold.

In those with type 2 diabetes mellitus, metformin was continued. New-onset diabetes was seen in 3 % and was not related to the dose. Two patients with chronic kidney disease stopped treatment because of acute kidney injury; both recovered after hydration. PCSK9 inhibitors such as evolocumab were given to 38 patients whose coronary artery disease progressed.`,
  },
  {
    id: "brca.txt",
    text: `Olaparib after platinum in hereditary breast and ovarian cancer

BRCA1 and BRCA2 mutation carriers with relapsed ovarian carcinoma were given olaparib after cisplatin or carboplatin. Loss of TP53BP1 was the commonest reason for resistance. Nausea, anemia and fatigue were the usual adverse events; two cases of acute myeloid leukemia occurred. In triple-negative breast cancer without a BRCA1 mutation, tumors with low expression of RAD51 answered as well.`,
  },
];
