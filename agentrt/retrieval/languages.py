"""Languages: their commonest words, and which one a text is in, when that is certain. Pure.

The words serve twice: they tell a text's language, and they are left out of questions (never out of documents).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from agentrt.retrieval.words import words_of

# Forms of the commonest function words, as they are written, in the stemmers' names of the languages.
_WORDS: Final = {
    "english": """
        a about above after again against all am an and any are aren as at be because been before being below between
        both but by can cannot could couldn d did didn do does doesn doing don down during each few for from further
        had hadn has hasn have haven having he her here hers herself him himself his how i if in into is isn it its
        itself just ll m me mightn more most mustn my myself no nor not of off on once only or other ought our ours
        ourselves out over own re s same shan she should shouldn so some such t than that the their theirs them
        themselves then there these they this those through to too under until up us ve very was wasn we were weren
        what when where which while who whom whose why will with won would wouldn you your yours yourself yourselves""",
    "german": """
        aber alle allem allen aller alles als also am an andere anderen auch auf aus bei bin bis bist da damit dann
        das dass dein dem den denn der des dich die dies diese diesem diesen dieser dieses dir doch du durch ein eine
        einem einen einer eines er es etwas euer für gegen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn
        ihnen ihr ihre ihrem ihren ihrer im in indem ins ist jede jedem jeden jeder jedes jene jetzt kann kein keine
        keinen können könnte machen man manche mein meine mich mir mit muss musste nach nicht nichts noch nun nur ob
        oder ohne sehr sein seine seinem seinen seiner sich sie sind so solche soll sollte sondern sonst über um und
        uns unser unter viel vom von vor war waren warum was weg weil weiter welche welcher wenn wer werde werden wie
        wieder will wir wird wirst wo wollen worden wurde wurden während würde würden zu zum zur zwar zwischen""",
    "french": """
        à ai alors au aucun aussi autre aux avait avant avec avez avoir avons c ce cela ces cet cette ceux chaque
        comme comment d dans de des donc dont du elle elles en encore entre est et était étaient été être eu eux fait
        fut ici il ils j je l la le les leur leurs lui là m ma mais me même mes moi mon n ne ni nos notre nous on ont
        ou où par pas peu peut plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se sera
        ses si soit son sont sous sur t ta te tes toi ton tous tout toute toutes tu un une vos votre vous y""",
    "spanish": """
        a al algo algunas algunos ante antes aquí así aunque cada como con contra cual cuál cuando cuándo cuánto de
        del desde donde dónde durante e el él ella ellas ellos en entre era eran eres es esa esas ese eso esos esta
        está están estas este esto estos fue fueron ha haber había han hasta hay he la las le les lo los me mi mis
        mucho muchos muy más ni no nos nosotros o os otra otras otro otros para pero poco por porque qué que quien
        quién se sea ser si sí sin sobre son su sus también tan te tiene tienen todo todos tu tus un una uno unos y ya
        yo""",
    "italian": """
        a ad agli ai al alla alle allo anche anni avere aveva c che chi ci come con contro cosa cui d da dagli dai dal
        dalla dalle dallo degli dei del della delle dello di dopo dove e è ed era erano essere fra gli ha hai hanno ho
        i il in io l la le lei li lo loro lui ma me mi mia mie mio miei molto ne negli nei nel nella nelle nello no
        noi non nostra nostro o ogni per perché più poi prima qual quale quali quando quanto quella quelle quelli
        quello questa queste questi questo qui se sei si sia siamo sono sta stata stato su sua sue sui sul sulla suo
        suoi tra tu tua tuo tutti tutto un una uno vi voi""",
    "portuguese": """
        a à ao aos apenas aquela aquele aqui as às até com como contra da das de dela dele deles depois do dos e é ela
        elas ele eles em entre era eram essa essas esse esses esta está estão estas este estes eu foi foram há isso
        isto já lhe mais mas me mesmo meu meus minha muito na não nas nem no nos nós nossa nosso num numa o os ou para
        pela pelas pelo pelos por porque quais qual quando que quem são se seja sem ser será seu seus só sua suas
        também te tem têm tendo teu toda todas todo todos tu tudo um uma você vocês vos""",
    "dutch": """
        aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een eens en er ge
        geen geweest haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je kan kon kunnen maar
        me meer men met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook op over reeds te tegen toch
        toen tot u uit uw van veel voor want waren was wat we wel werd wezen wie wij wil worden wordt zal ze zelf zich
        zij zijn zo zonder zou""",
    "swedish": """
        alla allt är att av blev bli blir bland både de dem den denna dess dessa det detta dig din du där då efter ej
        eller en er ett finns för från får genom ha hade han har hans hennes här hon honom hur i icke in ingen inom
        inte jag ju kan kom kunde man med mellan men mig min mitt mot mycket ni nu någon något några när och om oss på
        samma sedan sig sin sina själv skall skulle som så sådan till under upp ut utan vad var vara varför varit vem
        vi vid vilka vilken vår åt över""",
    "danish": """
        ad af aldrig alle alt anden at blev blive bliver da de dem den denne der deres det dette dig din disse dog du
        efter eller en end er et for fra få før ham han hans har havde have hende hendes her hos hun hvad hvem hver
        hvilken hvis hvor hvordan hvorfor hvornår i ikke ind ingen intet jeg jer jo kan kunne man mange med meget men
        mere mig min mine mit mod ned noget nogle nu når og også om op os over på selv sig sin sine skal skulle som
        sådan thi til ud under var ved vi vil ville være været""",
    "norwegian": """
        alle at av bare begge ble blei bli blir da de deg dei deim den denne der dere deres det dette di din disse
        ditt du eg ein eit eller elles en er et ett etter for fordi fra før ha hadde han hans har hennes her ho hun
        hva hvem hver hvilken hvis hvor hvordan hvorfor i ikke ikkje ingen inn ja jeg kan kom korleis kun kunne kva
        kvar man mange med meg mellom men mer mi min mot mye må ned no noe noen nå når og også om opp oss over på
        samme seg selv si sin sine sitt skal skulle slik som så til um under upp ut uten var ved vi vil ville vår være
        vært å""",
    "finnish": """
        ei eivät emme en et ette että he heidän heitä hän hänen häntä itse ja jo joka jokin jos jota joten jotka
        kanssa keiden ketkä koska kuin kuinka kuka kun me meidän meitä mikä mikäli miksi minkä minun minä missä mitkä
        mitä mukaan mutta myös ne niiden niin niitä noin nuo nyt näiden nämä näitä ole olen olet olette oli olimme
        olisi olisivat olit olivat olla olleet ollut on ovat pitää se sekä sen siihen siinä sillä sinun sinä sitä
        siitä tai te teidän tuo tähän tällä tämä tämän tässä tästä vaan vai vaikka voi""",
    "hungarian": """
        a ahol aki akkor ami amely amíg annak arra át az azok azonban azt aztán azért be bár belül csak de e egy egyes
        egyik egyéb el elég ellen én és ez ezek ezen ezért ezt ezzel fel felé ha hanem hogy hogyan hol igen így ill
        ilyen is itt jó kell kellett ki kívül le legyen lehet lenne lesz lett ma maga már más meg mely mert mi miért
        mikor milyen mint minden mindig mit most nagy ne nekem nem nincs ő ők olyan őket pedig s saját se sem semmi
        sok számára szerint szét talán te tehát többi után utána vagy vagyis vagyok való valaki valami van vele vissza
        volt volna voltak""",
    "polish": """
        a aby ale ani bardzo bez bo być był była było były będzie będą ci co czy czyli dla do gdy gdyby gdzie go i ich
        ile im inne inny ja jak jako je jednak jego jej jeśli jest jestem już każdy kiedy kto która które którego
        której który których którym którzy lub ma mają mi mnie może można my na nad nam nas nasz nawet nie nich nim
        nic niż o od ona one oni ono oraz po pod ponieważ przed przez przy są się sobie swoje ta tak także tam te tego
        tej ten to tu tutaj tych tylko tym u w we więc wszystko wy z za ze że""",
    "czech": """
        a aby aj ale ani asi až bez bude budou by byl byla byli bylo být co což či do ho i já jak jako je jeho jejich
        její jen ještě jestli ji jim jiné jsem jsi jsme jsou k kam každý kde kdo kdy když ke která které který kteří
        ku má mají mě mezi mi mně mnou my na nad nám nás náš ne nebo nebyl než ní nic nich ním o od ode on ona oni ono
        pak po pod podle pokud pouze pro proč proto protože před přes při s se si sice svůj ta tak také tam ten tento
        této tím to toho tohoto tom tomu tu ty tyto u už v vám vás váš ve více však všechny vy z za zde ze že""",
    "romanian": """
        a acea aceasta această aceea acei aceia acel acela acele acelea acest acesta aceste acestea ai al ale alt am
        ar are aș asta astfel atât au avea aveți bine ca că care către ce cea cei cel cele chiar cine cum cu când
        căreia da dacă dar de deci deja din dintre doar după e ea ei el ele era este eu fi fie fiind fost fără i iar
        îi îl îmi în între își îți la le li lor lui mai mea mei mele meu mult nici nimic nu o or ori pe pentru poate
        prin pot sa să sale sau se și sub sunt suntem te tot toate toți tu un una unde unei unui voi vor vă""",
    "turkish": """
        acaba ama ancak arada aslında ayrıca az bana bazı belki ben beni benim beri bile bir biraz birçok biri birkaç
        biz bize bizim böyle bu buna bunda bundan bunlar bunu bunun burada çok çünkü da daha de değil diğer diye
        dolayı eden en fakat gibi göre hangi hatta hem henüz hep hepsi her hiç için ile ise işte kadar karşın kendi
        kez ki kim mı mi mu mü nasıl ne neden nerede niçin niye o olan olarak oldu olduğu olmak olması olsa ona ondan
        onlar onu onun öyle pek sadece sanki siz şey şimdi şöyle şu tüm ve veya ya yani yine zaten""",
    "russian": """
        а без более больше будет будто бы был была были было быть в вам вас вдруг ведь весь во вот впрочем все всегда
        всего всех всю вы где да даже два для до другой его ее ей ему если есть еще же за здесь и из или им иногда их
        к как какая какой когда конечно кто куда ли лучше между меня мне много может можно мой моя мы на над надо
        наконец нас не него нее ней нельзя нет ни нибудь никогда ним них ничего но ну о об один он она они опять от
        перед по под после потом потому почти при про раз разве с сам свою себе себя сейчас со совсем так такой там
        тебя тем теперь то тогда того тоже только том тот три тут ты у уж уже хорошо хоть чего чем через что чтобы
        чуть эти этих это этого этой этом этот эту я""",
    "greek": """
        αλλά αν αντί από αυτά αυτές αυτή αυτό αυτοί αυτός αυτού για δε δεν εάν είμαι είναι είσαι είστε εκεί εκείνα
        εκείνη εκείνο ενώ επί η ήταν θα ή και κατά κι μα μας με μετά μη μην μια να ο οι όμως όπως όπου όσο όταν ότι
        παρά ποια ποιο ποιος πολύ που πριν προς πώς σαν σας σε στα στη στην στις στο στον στους τα της τη την τι τις
        το του τους τον των ως""",
    "indonesian": """
        ada adalah agar akan aku anda antara apa apakah atas atau bagi bahwa baru beberapa belum bisa bukan dalam dan
        dapat dari dengan di dia harus hanya hingga ia ini itu jika juga kami kamu karena ke kepada ketika kita lagi
        lain lebih maka masih mereka namun oleh pada para saat saja sangat saya sebagai sebelum sebuah sedang sehingga
        sejak semua seperti serta sudah telah tentang terhadap tersebut tetapi tidak untuk yaitu yang""",
    "arabic": """
        إلى إن أن أو أي إذا الذي التي الذين ال بعد بعض بين تلك ثم حتى حيث ذلك على عليه عن عند غير في فيه قبل قد كان
        كانت كل كما كيف لا لم لن له لها ليس ما متى مع من منذ منها هذا هذه هل هم هنا هناك هو هي و وقد ولا وهو يا يكون""",
    "hindi": """
        अपना अपनी अपने अब आप इन इस इसका इसकी इसके इसे उन उनका उनकी उनके उस उसका उसकी उसके एक एवं ऐसे और क कब कर करता
        करते करना करने कहा का कि किया किसी की कुछ के को कोई कौन क्या गया गई जब जा जाता जाती जाते जैसे जो तक तथा तब तो
        था थी थे दिया द्वारा दो न नहीं ने पर पहले फिर बहुत बाद भी मगर मैं यदि यह यहाँ यही या ये रहा रहे लिए लेकिन व वह
        वहाँ वे सकता सकते सब साथ से हम ही हुआ हुई हुए है हैं हो होता होती होते होना""",
}  # fmt: skip

STOP_WORDS: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.casefold().split()) for language, words in _WORDS.items()
}

_SAMPLES: Final = 3
_SAMPLE_CHARS: Final = 2_000
# In running text every third to sixth word is one of these; fewer are believed, when no other language comes near.
_CERTAIN_SHARE: Final = 0.08
_CERTAIN_LEAD: Final = 1.25
_CERTAIN_WORDS: Final = 12
_NEAR: Final = {"danish", "norwegian"}  # so near that it does not matter
_NOT_RUSSIAN: Final = re.compile("[іїєґўјљњћђ]")  # Ukrainian, Belarusian, Serbian: many of the words are the same
_LATIN: Final = re.compile("[a-z]")


def detect_language(text: str) -> str:
    """The name of a stemmer, "" when no stemmer fits.

    What is not certain and written in Latin letters is taken for English: names, code and lists of terms are, most
    often, and its stemmer does little to other languages than to take off an `s`.
    """
    sample = _sample(text)
    words = words_of(sample)
    known = _languages_of()
    counts = Counter(words)
    scores: Counter[str] = Counter()
    for word in counts.keys() & known.keys():
        for language in known[word]:
            scores[language] += counts[word]
    ranking = scores.most_common() or [("", 0)]
    language, best = ranking[0]
    second = next((score for other, score in ranking[1:] if {language, other} != _NEAR), 0)
    if len(words) >= _CERTAIN_WORDS and best >= _CERTAIN_SHARE * len(words) and best >= _CERTAIN_LEAD * second:
        return "" if language == "russian" and _NOT_RUSSIAN.search(sample.casefold()) else language
    n_latin = sum(_LATIN.match(word) is not None for word in words)
    return "english" if words and n_latin * 2 >= len(words) else ""


def _sample(text: str) -> str:
    """The beginning, the middle and the end: a preface may be in another language than the book."""
    if len(text) <= _SAMPLES * _SAMPLE_CHARS:
        return text
    starts = [i * (len(text) - _SAMPLE_CHARS) // (_SAMPLES - 1) for i in range(_SAMPLES)]
    return " ".join(text[start : start + _SAMPLE_CHARS] for start in starts)


@cache
def _languages_of() -> dict[str, tuple[str, ...]]:
    """Word → the languages that it is a common word of. (But for single Latin letters: code is full of them.)"""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for language, words in STOP_WORDS.items():
        for word in words:
            if len(word) > 1 or not word.isascii():
                found[word].append(language)
    return {word: tuple(languages) for word, languages in found.items()}


def likely_language(words: Iterable[str], languages: Iterable[str]) -> str:
    """The one of some languages that a short question is in; the first of them when its words do not tell."""
    asked = Counter(words)
    return max(languages, key=lambda language: _score(asked, STOP_WORDS.get(language, frozenset())), default="")


def _score(words: Mapping[str, int], known: frozenset[str]) -> int:
    return sum(n for word, n in words.items() if word in known)
