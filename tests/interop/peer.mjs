// Signs, shows parts of, and verifies credentials with the npm packages of Digital Bazaar.
// A JSON task a line on stdin, a JSON outcome a line on stdout. `contexts`: address -> document.
import {createInterface} from 'node:readline';
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import * as EcdsaMultikey from '@digitalbazaar/ecdsa-multikey';
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey';
import {cryptosuite as ecdsaRdfc} from '@digitalbazaar/ecdsa-rdfc-2019-cryptosuite';
import * as ecdsaSd from '@digitalbazaar/ecdsa-sd-2023-cryptosuite';
import {cryptosuite as eddsaRdfc} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import jsigs from 'jsonld-signatures';

const {AssertionProofPurpose} = jsigs.purposes;
const documents = new Map();
const whole = {'eddsa-rdfc-2022': eddsaRdfc, 'ecdsa-rdfc-2019': ecdsaRdfc};

function didKey(url) {
  const [controller, key] = url.split('#');
  const publicKeyMultibase = controller.slice('did:key:'.length);
  const method = {
    '@context': 'https://w3id.org/security/multikey/v1',
    id: `${controller}#${publicKeyMultibase}`, type: 'Multikey', controller, publicKeyMultibase
  };
  return key ? method : {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: controller, verificationMethod: [method], assertionMethod: [method.id]
  };
}

async function documentLoader(url) {
  const document = url.startsWith('did:key:') ? didKey(url) : documents.get(url);
  if(!document) {
    throw new Error(`no document ${url}`);
  }
  return {contextUrl: null, documentUrl: url, document};
}

async function keyPair({publicKeyMultibase, secretKeyMultibase}) {
  const controller = `did:key:${publicKeyMultibase}`;
  const id = `${controller}#${publicKeyMultibase}`;
  const Multikey = publicKeyMultibase.startsWith('z6Mk') ? Ed25519Multikey : EcdsaMultikey;
  return Multikey.from({
    '@context': 'https://w3id.org/security/multikey/v1',
    id, type: 'Multikey', controller, publicKeyMultibase, secretKeyMultibase
  });
}

const tasks = {
  async contexts({contexts}) {
    Object.entries(contexts).forEach(([url, document]) => documents.set(url, document));
  },
  async sign({document, cryptosuite, key, pointers}) {
    const signer = (await keyPair(key)).signer();
    const suite = new DataIntegrityProof({
      signer,
      cryptosuite: whole[cryptosuite] || ecdsaSd.createSignCryptosuite({mandatoryPointers: pointers})
    });
    return jsigs.sign(document, {suite, purpose: new AssertionProofPurpose(), documentLoader});
  },
  async derive({document, pointers}) {
    const suite = new DataIntegrityProof({
      cryptosuite: ecdsaSd.createDiscloseCryptosuite({selectivePointers: pointers})
    });
    return jsigs.derive(document, {suite, purpose: new AssertionProofPurpose(), documentLoader});
  },
  async verify({document, cryptosuite}) {
    const suite = new DataIntegrityProof({
      cryptosuite: whole[cryptosuite] || ecdsaSd.createVerifyCryptosuite()
    });
    const outcome = await jsigs.verify(document, {suite, purpose: new AssertionProofPurpose(), documentLoader});
    return {verified: outcome.verified, error: String(outcome.error?.errors ?? '')};
  }
};

for await (const line of createInterface({input: process.stdin})) {
  const {task, ...rest} = JSON.parse(line);
  try {
    console.log(JSON.stringify({result: await tasks[task](rest) ?? null}));
  } catch(error) {
    console.log(JSON.stringify({error: String(error.stack ?? error)}));
  }
}
