"""Words and sentences of the languages task, written for this project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """One language.

    Attributes:
        opposites: Pairs of opposites; their first words mean big, hot, old, long, black, rich,
            strong, full, open, day, good, in this order.
        capitals: Country, as the sentence needs it, and its capital, easy ones first: France,
            Italy, Spain, Germany, England, Russia, Japan, China, Greece, Poland, Egypt, Sweden,
            Norway, Hungary, Peru, Finland.
        days: From Monday.
        months: From January.
        numbers: From nought to twenty.
        opposite: A sentence with a place for a word.
        capital: A sentence with a place for a country.
        next_day: A sentence with a place for a day.
        next_month: A sentence with a place for a month.
        later_day: A sentence with places for a day and a number of days.
        later_month: A sentence with places for a month and a number of months.
        plus: How a sum is read.
        minus: How a difference is read.
        times: How a product is read.
        equals: How the result is announced.
        lives: Someone's name and the city come around it.
    """

    opposites: tuple[tuple[str, str], ...]
    capitals: tuple[tuple[str, str], ...]
    days: tuple[str, ...]
    months: tuple[str, ...]
    numbers: tuple[str, ...]
    opposite: str
    capital: str
    next_day: str
    next_month: str
    later_day: str
    later_month: str
    plus: str
    minus: str
    times: str
    equals: str
    lives: str

    def after(self, kind: str, name: str, step: int) -> str:
        """The question for what comes so many days or months after one of them."""
        if step == 1:
            return (self.next_day if kind == "day" else self.next_month).format(name)
        return (self.later_day if kind == "day" else self.later_month).format(name, step)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``a/b, c/d`` as pairs."""
    pairs = (pair.split("/") for pair in text.split(", "))
    return tuple((first, second) for first, second in pairs)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LANGUAGES: Mapping[str, Vocabulary] = {
    "German": Vocabulary(
        _pairs(
            "groß/klein, heiß/kalt, alt/neu, lang/kurz, schwarz/weiß, reich/arm, stark/schwach, "
            "voll/leer, offen/geschlossen, hell/dunkel, gut/schlecht"
        ),
        _pairs(
            "Frankreich/Paris, Italien/Rom, Spanien/Madrid, Deutschland/Berlin, England/London, "
            "Russland/Moskau, Japan/Tokio, China/Peking, Griechenland/Athen, Polen/Warschau, "
            "Ägypten/Kairo, Schweden/Stockholm, Norwegen/Oslo, Ungarn/Budapest, Peru/Lima, "
            "Finnland/Helsinki"
        ),
        _words("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        _words(
            "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
        ),
        _words(
            "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
            "fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig"
        ),
        "Das Gegenteil von „{}“ ist",
        "Die Hauptstadt von {} ist",
        "Der Tag nach {} ist",
        "Der Monat nach {} ist",
        "Heute ist {}. In {} Tagen ist",
        "Jetzt ist {}. In {} Monaten ist",
        "plus",
        "minus",
        "mal",
        "ist",
        "wohnt in",
    ),
    "French": Vocabulary(
        _pairs(
            "grand/petit, chaud/froid, vieux/jeune, long/court, noir/blanc, riche/pauvre, "
            "fort/faible, plein/vide, ouvert/fermé, clair/sombre, bon/mauvais"
        ),
        _pairs(
            "de la France/Paris, de l'Italie/Rome, de l'Espagne/Madrid, de l'Allemagne/Berlin, "
            "de l'Angleterre/Londres, de la Russie/Moscou, du Japon/Tokyo, de la Chine/Pékin, "
            "de la Grèce/Athènes, de la Pologne/Varsovie, de l'Égypte/Le Caire, "
            "de la Suède/Stockholm, de la Norvège/Oslo, de la Hongrie/Budapest, du Pérou/Lima, "
            "de la Finlande/Helsinki"
        ),
        _words("lundi mardi mercredi jeudi vendredi samedi dimanche"),
        _words(
            "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
        ),
        _words(
            "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze "
            "quinze seize dix-sept dix-huit dix-neuf vingt"
        ),
        "Le contraire de « {} » est",
        "La capitale {} est",
        "Le jour qui suit {} est",
        "Le mois qui suit {} est",
        "Aujourd'hui, c'est {}. Dans {} jours, ce sera",
        "Nous sommes en {}. Dans {} mois, nous serons en",
        "plus",
        "moins",
        "fois",
        "font",
        "habite à",
    ),
    "Spanish": Vocabulary(
        _pairs(
            "grande/pequeño, caliente/frío, viejo/joven, largo/corto, negro/blanco, rico/pobre, "
            "fuerte/débil, lleno/vacío, abierto/cerrado, claro/oscuro, bueno/malo"
        ),
        _pairs(
            "Francia/París, Italia/Roma, España/Madrid, Alemania/Berlín, Inglaterra/Londres, "
            "Rusia/Moscú, Japón/Tokio, China/Pekín, Grecia/Atenas, Polonia/Varsovia, "
            "Egipto/El Cairo, Suecia/Estocolmo, Noruega/Oslo, Hungría/Budapest, Perú/Lima, "
            "Finlandia/Helsinki"
        ),
        _words("lunes martes miércoles jueves viernes sábado domingo"),
        _words(
            "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
            "diciembre"
        ),
        _words(
            "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce "
            "quince dieciséis diecisiete dieciocho diecinueve veinte"
        ),
        "Lo contrario de «{}» es",
        "La capital de {} es",
        "El día que sigue al {} es el",
        "El mes que sigue a {} es",
        "Hoy es {}. Dentro de {} días será",
        "Estamos en {}. Dentro de {} meses estaremos en",
        "más",
        "menos",
        "por",
        "son",
        "vive en",
    ),
    "Italian": Vocabulary(
        _pairs(
            "grande/piccolo, caldo/freddo, vecchio/giovane, lungo/corto, nero/bianco, "
            "ricco/povero, forte/debole, pieno/vuoto, aperto/chiuso, chiaro/scuro, buono/cattivo"
        ),
        _pairs(
            "della Francia/Parigi, dell'Italia/Roma, della Spagna/Madrid, "
            "della Germania/Berlino, dell'Inghilterra/Londra, della Russia/Mosca, "
            "del Giappone/Tokyo, della Cina/Pechino, della Grecia/Atene, "
            "della Polonia/Varsavia, dell'Egitto/Il Cairo, della Svezia/Stoccolma, "
            "della Norvegia/Oslo, dell'Ungheria/Budapest, del Perù/Lima, della Finlandia/Helsinki"
        ),
        _words("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
        _words(
            "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
            "dicembre"
        ),
        _words(
            "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
            "quattordici quindici sedici diciassette diciotto diciannove venti"
        ),
        "Il contrario di «{}» è",
        "La capitale {} è",
        "Il giorno che segue {} è",
        "Il mese che segue {} è",
        "Oggi è {}. Fra {} giorni sarà",
        "Adesso è {}. Fra {} mesi sarà",
        "più",
        "meno",
        "per",
        "fa",
        "vive a",
    ),
    "Portuguese": Vocabulary(
        _pairs(
            "grande/pequeno, quente/frio, velho/novo, longo/curto, preto/branco, rico/pobre, "
            "forte/fraco, cheio/vazio, aberto/fechado, claro/escuro, bom/mau"
        ),
        _pairs(
            "da França/Paris, da Itália/Roma, da Espanha/Madrid, da Alemanha/Berlim, "
            "da Inglaterra/Londres, da Rússia/Moscovo, do Japão/Tóquio, da China/Pequim, "
            "da Grécia/Atenas, da Polónia/Varsóvia, do Egito/Cairo, da Suécia/Estocolmo, "
            "da Noruega/Oslo, da Hungria/Budapeste, do Peru/Lima, da Finlândia/Helsínquia"
        ),
        _words("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo"),
        _words(
            "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
            "dezembro"
        ),
        _words(
            "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze "
            "dezasseis dezassete dezoito dezanove vinte"
        ),
        "O contrário de «{}» é",
        "A capital {} é",
        "O dia a seguir a {} é",
        "O mês a seguir a {} é",
        "Hoje é {}. Daqui a {} dias será",
        "Estamos em {}. Daqui a {} meses estaremos em",
        "mais",
        "menos",
        "vezes",
        "são",
        "vive em",
    ),
    "Dutch": Vocabulary(
        _pairs(
            "groot/klein, heet/koud, oud/jong, lang/kort, zwart/wit, rijk/arm, sterk/zwak, "
            "vol/leeg, open/dicht, licht/donker, goed/slecht"
        ),
        _pairs(
            "Frankrijk/Parijs, Italië/Rome, Spanje/Madrid, Duitsland/Berlijn, Engeland/Londen, "
            "Rusland/Moskou, Japan/Tokio, China/Peking, Griekenland/Athene, Polen/Warschau, "
            "Egypte/Caïro, Zweden/Stockholm, Noorwegen/Oslo, Hongarije/Boedapest, Peru/Lima, "
            "Finland/Helsinki"
        ),
        _words("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"),
        _words(
            "januari februari maart april mei juni juli augustus september oktober november "
            "december"
        ),
        _words(
            "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien "
            "vijftien zestien zeventien achttien negentien twintig"
        ),
        "Het tegenovergestelde van ‘{}’ is",
        "De hoofdstad van {} is",
        "De dag na {} is",
        "De maand na {} is",
        "Vandaag is het {}. Over {} dagen is het",
        "Het is nu {}. Over {} maanden is het",
        "plus",
        "min",
        "keer",
        "is",
        "woont in",
    ),
    "Russian": Vocabulary(
        _pairs(
            "большой/маленький, горячий/холодный, старый/молодой, длинный/короткий, "
            "чёрный/белый, богатый/бедный, сильный/слабый, полный/пустой, открытый/закрытый, "
            "светлый/тёмный, хороший/плохой"
        ),
        _pairs(
            "Франции/Париж, Италии/Рим, Испании/Мадрид, Германии/Берлин, Англии/Лондон, "
            "России/Москва, Японии/Токио, Китая/Пекин, Греции/Афины, Польши/Варшава, "
            "Египта/Каир, Швеции/Стокгольм, Норвегии/Осло, Венгрии/Будапешт, Перу/Лима, "
            "Финляндии/Хельсинки"
        ),
        _words("понедельник вторник среда четверг пятница суббота воскресенье"),
        _words("январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь"),
        _words(
            "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать "
            "тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать "
            "двадцать"
        ),
        "Противоположность слова «{}» —",
        "Столица {} —",
        "Какой день недели следующий, если сегодня {}? Завтра",
        "Какой месяц следующий, если сейчас {}? Потом",
        "Сегодня {}. Какой день недели будет, когда пройдёт дней: {}? Ответ:",
        "Сейчас {}. Какой месяц будет, когда пройдёт месяцев: {}? Ответ:",
        "плюс",
        "минус",
        "умножить на",
        "равно",
        "живёт в городе",
    ),
}
